// node-postgres through the SQL gateway. client.js CONFIG PEOPLE: JSON with host, port, database, user, ca, cert, key.
import assert from 'node:assert'
import fs from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire(process.env.CLOVER_NODE_MODULES + '/')
const pg = require('pg')
const config = JSON.parse(process.argv[2])
const people = Number(process.argv[3])
const ssl = { ca: fs.readFileSync(config.ca), cert: fs.readFileSync(config.cert), key: fs.readFileSync(config.key), servername: 'localhost' }
const { host, port, database, user } = config
const client = new pg.Client({ host, port, database, user, ssl })
await client.connect()
for (let n = 0; n < 3; n++) {
  const one = await client.query({ name: 'one', text: 'select video_id, review_state, owner from video_status where video_id = $1', values: [1000000] })
  assert.equal(one.rows[0].review_state, 'held')
  assert.match(one.rows[0].owner, /^t1\./)
}
const kinds = await client.query("select array[1, null, 3] as a, '{\"a\": [1, null]}'::jsonb as j, null::text as n, now() as t")
assert.deepEqual([kinds.rows[0].a, kinds.rows[0].j, kinds.rows[0].n], [[1, null, 3], { a: [1, null] }, null])
assert.ok(kinds.rows[0].t instanceof Date)
const all = await client.query('select count(*)::int as n from video_status')
assert.equal(all.rows[0].n, 3 * people)
await assert.rejects(client.query('select uploader_ip from video_status'), error => error.code === '42703')
await assert.rejects(client.query('select 1; select 2'), error => error.code === '42501')
assert.equal((await client.query('select 1 as one')).rows[0].one, 1)
await client.end()
console.log('ok')
