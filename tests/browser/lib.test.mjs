// node --test lib.test.mjs: what needs neither a browser nor a module.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import test from 'node:test';

import { forward, totp } from './lib.mjs';

test('codes_are_those_of_rfc_6238', () => {
  // "12345678901234567890", the appendix's key for SHA-1; its codes have eight digits, of which six are the last.
  const secret = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';
  const vectors = [
    [59, '94287082'],
    [1111111109, '07081804'],
    [1111111111, '14050471'],
    [1234567890, '89005924'],
    [2000000000, '69279037'],
    [20000000000, '65353130'],
  ];
  for (const [seconds, code] of vectors) {
    assert.equal(totp(secret, seconds * 1000), code.slice(-6), String(seconds));
  }
  assert.equal(totp('gezd gnbv gy3t qojq gezd gnbv gy3t qojq====', 59_999), '287082', 'as a person may write it');
  assert.throws(() => totp('not base 32!'));
});

/** A server that says who asks, and then what it was sent, once the asking side has ended. */
async function echo(t) {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.write(`${socket.remoteAddress} `);
    socket.pipe(socket);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => server.close());
  return server;
}

test('a_forwarded_connection_comes_from_the_given_address', async (t) => {
  const server = await echo(t);
  const forwarder = await forward(`127.0.0.1:${server.address().port}`, '127.0.33.10');
  t.after(forwarder.close);
  const sent = 'x'.repeat(1 << 20);
  const socket = net.connect({ port: forwarder.port, host: '127.0.0.1', allowHalfOpen: true });
  socket.end(sent);
  assert.equal((await socket.setEncoding('utf8').toArray()).join(''), `127.0.33.10 ${sent}`);
});

test('a_closed_forwarder_lets_go_of_its_connections', async (t) => {
  const server = await echo(t);
  const forwarder = await forward(`127.0.0.1:${server.address().port}`, '127.0.1.10');
  const socket = net.connect({ port: forwarder.port, host: '127.0.0.1' });
  await once(socket, 'data');
  await Promise.all([once(socket, 'close'), forwarder.close()]);
  await assert.rejects(once(net.connect({ port: forwarder.port, host: '127.0.0.1' }), 'connect'), { code: 'ECONNREFUSED' });
});

test('a_target_that_does_not_listen_ends_the_connection', async (t) => {
  const server = await echo(t);
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  const forwarder = await forward(`127.0.0.1:${port}`, '127.0.1.10');
  t.after(forwarder.close);
  const socket = net.connect({ port: forwarder.port, host: '127.0.0.1' });
  socket.on('error', () => {});
  await once(socket, 'close');
});
