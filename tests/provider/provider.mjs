// A certified OpenID provider (`oidc-provider`) for tests/it/signin.rs: over TLS on loopback, with people who are made up,
// and a way to have it send tokens that must not count. Never shipped.
//
// node provider.mjs <folder of node_modules> <certificate> <key>
// Prints `{"port": …}` once it listens, and ends when its standard input does.

import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID, sign as rawSign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

// Standard output is for the one line that the test reads.
console.log = console.info = console.error;

const [modules, certificate, key] = process.argv.slice(2);
const library = path.join(modules, 'node_modules/oidc-provider/lib/index.js');
const { default: Provider } = await import(pathToFileURL(library));

const CLIENT = 'clover';
const SECRET = 'a-secret-of-the-test-alone-0123456789';
const PEOPLE = {
  mei: { country: 'SG', device: 'managed-attested' },
  aoife: { country: 'IE', device: 'managed-attested' },
  torn: { country: 'SG', device: 'managed-attested', device_country: 'IE' },
  bare: {},
  stranger: { country: 'SG', device: 'managed-attested' },
  'us-partner': { country: 'IE' },
};

/** What `/token` sends in place of what it would: see `forged`. */
let mode = 'honest';
let counts = { keys: 0, tokens: 0 };
let keys = newKeys();
/** Where browsers go back to; told by the test. */
let redirect = 'https://localhost/signin/callback';

function newKeys() {
  const make = (kind, options, extra) => {
    // By way of PEM: exporting the very object that was generated can lock Node 20 up, when its garbage collector ends the
    // generating job, which waits for the key's mutex, in the middle of the export, which holds it.
    const privateKeyEncoding = { type: 'pkcs8', format: 'pem' };
    const publicKeyEncoding = { type: 'spki', format: 'pem' };
    const { privateKey } = generateKeyPairSync(kind, { ...options, privateKeyEncoding, publicKeyEncoding });
    return { ...createPrivateKey(privateKey).export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', ...extra };
  };
  return [make('rsa', { modulusLength: 2048 }, { alg: 'RS256' })];
}

const base64 = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
const read = (part) => JSON.parse(Buffer.from(part, 'base64url'));

function signed(header, claims, jwk) {
  const text = `${base64(header)}.${base64(claims)}`;
  return `${text}.${rawSign('sha256', Buffer.from(text), { key: jwk, format: 'jwk' }).toString('base64url')}`;
}

function hmac(header, claims, secret) {
  const text = `${base64(header)}.${base64(claims)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

/** An honest token made worthless in one way; where a signature counts, it is by the real key. */
function forged(token) {
  const [head, body, signature] = token.split('.');
  const [header, claims, own] = [read(head), read(body), keys[0]];
  const now = Math.floor(Date.now() / 1000);
  const pem = createPublicKey({ key: own, format: 'jwk' }).export({ format: 'pem', type: 'spki' });
  switch (mode) {
    case 'expired': return signed(header, { ...claims, exp: now - 61 }, own);
    case 'just-expired': return signed(header, { ...claims, exp: now - 20 }, own);
    case 'issued-long-ago': return signed(header, { ...claims, iat: now - 3600 }, own);
    case 'issued-tomorrow': return signed(header, { ...claims, iat: now + 3600, exp: now + 7200 }, own);
    case 'wrong-audience': return signed(header, { ...claims, aud: 'another-client' }, own);
    case 'more-audiences': return signed(header, { ...claims, aud: [CLIENT, 'another-client'] }, own);
    case 'wrong-party': return signed(header, { ...claims, azp: 'another-client' }, own);
    case 'wrong-issuer': return signed(header, { ...claims, iss: 'https://id.example' }, own);
    case 'wrong-nonce': return signed(header, { ...claims, nonce: 'another' }, own);
    case 'no-nonce': { const { nonce, ...rest } = claims; return signed(header, rest, own); }
    case 'alg-none': return `${base64({ ...header, alg: 'none' })}.${body}.`;
    case 'alg-none-signed': return `${base64({ ...header, alg: 'none' })}.${body}.${signature}`;
    case 'hs256-public-key': return hmac({ ...header, alg: 'HS256' }, claims, pem);
    case 'hs256-client-secret': return hmac({ ...header, alg: 'HS256' }, claims, SECRET);
    case 'unknown-key': return signed({ ...header, kid: randomUUID() }, claims, newKeys()[0]);
    case 'another-key': return signed(header, claims, newKeys()[0]);
    case 'changed': return `${head}.${base64({ ...claims, country: 'IE' })}.${signature}`;
    case 'no-signature': return `${head}.${body}.`;
    case 'garbage': return 'a.b.c';
    default: return token;
  }
}

function configured(issuer) {
  const provider = new Provider(issuer, {
    clients: [{
      client_id: CLIENT,
      client_secret: SECRET,
      redirect_uris: [redirect],
      grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
      response_types: ['code'],
    }],
    claims: { openid: ['sub', 'country', 'device', 'device_country', 'amr', 'acr'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['of-the-test-alone'] },
    features: { devInteractions: { enabled: false }, deviceFlow: { enabled: true } },
    findAccount: (_, id) => (id in PEOPLE ? { accountId: id, claims: () => ({ sub: id, ...PEOPLE[id] }) } : undefined),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    jwks: { keys },
    async loadExistingGrant(ctx) {
      const { client, session } = ctx.oidc;
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope('openid');
      await grant.save();
      return grant;
    },
  });
  provider.on('server_error', (_, error) => console.error(error));
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.path === '/jwks') counts.keys += 1;
    if (ctx.path === '/token' && ctx.body?.id_token) {
      counts.tokens += 1;
      ctx.body.id_token = forged(ctx.body.id_token);
    }
  });
  return provider;
}

/** Signs in whoever the form names, without a password: these people are made up. */
async function interaction(request, response) {
  if (request.method === 'GET') {
    response.setHeader('content-type', 'text/html');
    return response.end(`<form method="post" action="${request.url}"><input name="login"></form>`);
  }
  let form = '';
  for await (const part of request) form += part;
  const accountId = new URLSearchParams(form).get('login');
  const amr = accountId === 'bare' ? ['pwd'] : ['pwd', 'mfa'];
  return provider.interactionFinished(request, response, { login: { accountId, amr, remember: false } });
}

/** What tests tell the provider beside the protocol. */
function told(request, response) {
  const { pathname, searchParams } = new URL(request.url, 'https://localhost');
  if (pathname === '/_test/mode') mode = searchParams.get('is');
  if (pathname === '/_test/redirect') {
    redirect = searchParams.get('to');
    provider = configured(issuer);
  }
  if (pathname === '/_test/rotate') {
    keys = newKeys();
    provider = configured(issuer);
  }
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(counts));
}

let provider;
let issuer;
const server = https.createServer(
  { cert: readFileSync(certificate), key: readFileSync(key) },
  (request, response) => {
    if (request.url.startsWith('/_test/')) return told(request, response);
    if (request.url.startsWith('/interaction/')) {
      return interaction(request, response).catch((error) => {
        console.error(error);
        response.statusCode = 500;
        response.end();
      });
    }
    return provider.callback()(request, response);
  },
);
server.listen(0, '127.0.0.1', () => {
  issuer = `https://localhost:${server.address().port}`;
  provider = configured(issuer);
  process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`);
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
