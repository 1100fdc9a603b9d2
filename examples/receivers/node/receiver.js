/*
 * Takes Snowgate's callbacks: verifies, recognises repeats, answers `ticket.opened` with an incident of its own.
 *
 *   npm ci && SNOWGATE_CALLBACK_SECRET=whsec_… PORT=9000 node receiver.js
 *
 * What is yours to change: `handle`, and `answers`, which must be a table with a unique key that outlives a restart.
 */
'use strict';

const crypto = require('node:crypto');
const http = require('node:http');
const { Webhook } = require('standardwebhooks');

const SECRET = process.env.SNOWGATE_CALLBACK_SECRET;
const BODY_BYTES_MAX = 32 * 1024 * 1024;
const webhook = new Webhook(SECRET);

/** What each `webhook-id` was answered. An id may come again for 30 days: keep it in the transaction of its effect. */
const answers = new Map();

/** Does what the event asks for and gives the answer's body, if there is one. */
function handle(event) {
  console.log(`took ${event.type} ${event.subject ?? '-'} ${event.id} ${event.file?.sha256 ?? '-'}`);
  if (event.type === 'ticket.opened') {
    // The same ticket is the same incident, whatever happened to our first answer.
    return { incident: { id: `INC-${event.data.ticket.sys_id}` } };
  }
  return undefined; // types that we do not know yet are taken as well, or they would come again
}

/** The event of a genuine request; throws for any other. */
function verified(headers, body) {
  if (headers['ce-type'] === undefined) {
    return webhook.verify(body, headers);
  }
  // The body is a file, byte for byte. The package takes text alone, so this is the same signature by hand.
  if (!isSigned(headers, body)) throw new Error('the signature is wrong');
  const sha256 = crypto.createHash('sha256').update(body).digest('hex');
  if (sha256 !== headers['ce-attachmentsha256']) throw new Error('this is another file');
  const name = decodeURIComponent(headers['ce-attachmentname']);
  const [id, type, subject] = ['ce-id', 'ce-type', 'ce-subject'].map((header) => headers[header]);
  return { id, type, subject, file: { id: headers['ce-attachmentid'], name, sha256, body } };
}

function isSigned(headers, body) {
  const timestamp = headers['webhook-timestamp'];
  const key = Buffer.from(SECRET.replace(/^whsec_/, ''), 'base64');
  const mac = crypto.createHmac('sha256', key).update(`${headers['webhook-id']}.${timestamp}.`).update(body).digest();
  const isRight = (entry) => {
    const given = Buffer.from(entry.replace(/^v1,/, ''), 'base64');
    return entry.startsWith('v1,') && given.length === mac.length && crypto.timingSafeEqual(given, mac);
  };
  const isRecent = Math.abs(Date.now() / 1000 - Number(timestamp)) <= 300;
  return isRecent && headers['webhook-signature'].split(' ').some(isRight);
}

async function read(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > BODY_BYTES_MAX) throw Object.assign(new Error('the body is too large'), { status: 413 });
    parts.push(part);
  }
  return Buffer.concat(parts);
}

const server = http.createServer(async (request, response) => {
  let event;
  try {
    event = verified(request.headers, await read(request));
  } catch (problem) {
    console.error(`refused: ${problem.message}`);
    response.writeHead(problem.status ?? 401).end();
    return;
  }
  const id = request.headers['webhook-id'];
  if (!answers.has(id)) answers.set(id, handle(event));
  const answer = answers.get(id);
  if (answer === undefined) response.writeHead(204).end();
  else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
});

server.listen(Number(process.env.PORT ?? 9000), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
