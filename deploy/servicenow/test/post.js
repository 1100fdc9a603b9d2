/* Makes the one request that it reads from standard input, and prints what came back; for the fake of RESTMessageV2. */
'use strict';

const fs = require('node:fs');

const { url, method, headers, body, timeout } = JSON.parse(fs.readFileSync(0, 'utf8'));
const request = { method: method.toUpperCase(), headers, body: Buffer.from(body, 'base64'), redirect: 'manual' };
fetch(url, { ...request, signal: AbortSignal.timeout(timeout) }).then(
  async (response) => ({ status: response.status, text: await response.text() }),
  (problem) => ({ status: 0, error: String(problem.cause ?? problem) }),
).then((answer) => process.stdout.write(JSON.stringify(answer)));
