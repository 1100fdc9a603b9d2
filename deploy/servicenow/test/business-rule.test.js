/* The rule that customers paste, case by case. Run by `node --test`; needs only acorn beside Node. */
'use strict';

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const test = require('node:test');
const acorn = require('acorn');
const { RULE, runRule } = require('./instance.js');

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const NEXT = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD';
const TICKET = '699ec6375df7c9b27e8f0009f87025b7';

const taken = () => ({ status: 202, text: '' });

/** A change of a bridged ticket by a person. */
function change(more = {}) {
  return {
    user: 'abel.tuter',
    record: {
      sys_id: TICKET, number: 'INC0010001', correlation_id: 'sg1-abc', sys_mod_count: '7',
      sys_updated_on: '2026-11-22 06:00:00', short_description: 'Front display', state: { value: '2', display: 'In Progress' },
      hold_reason: '', assigned_to: { value: 'a1', display: 'Abel Tuter' }, work_notes: 'history', u_room: 'Berlin 4.12',
    },
    properties: {
      'snowgate.webhook_url': 'https://gateway.example/v1/tenants/contoso/webhooks/servicenow',
      'snowgate.webhook_secret': SECRET, 'snowgate.integration_user': 'snowgate', instance_name: 'contoso',
    },
    tables: {},
    ...more,
  };
}

const withProperties = (more) => change({ properties: { ...change().properties, ...more } });

function comment(number, value, more = {}) {
  const created = `2026-11-22 06:00:${String(number).padStart(2, '0')}`;
  return { sys_id: `j${number}`, element_id: TICKET, element: 'comments', value, sys_created_on: created, sys_created_by: 'abel.tuter', ...more };
}

const withJournal = (rows, properties = {}) => ({ ...withProperties(properties), tables: { sys_journal_field: rows } });

/** Runs it, expects one request and a quiet log, and gives the request with its snapshot read. */
function told(from, options = {}) {
  const { sent, logged } = runRule(from, { answer: taken, ...options });
  assert.deepEqual(logged, []);
  assert.equal(sent.length, 1);
  return { ...sent[0], snapshot: JSON.parse(sent[0].body.toString('utf8')) };
}

/** Runs it, expects no request, and gives the log. */
function silence(from, options = {}) {
  const { sent, logged } = runRule(from, { answer: taken, ...options });
  assert.deepEqual(sent, []);
  return logged;
}

function signatures({ headers, body }, secrets) {
  return secrets.map((secret) => {
    const mac = crypto.createHmac('sha256', Buffer.from(secret.slice(6), 'base64'));
    return `v1,${mac.update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.`).update(body).digest('base64')}`;
  }).join(' ');
}

test('it is ES5, the oldest syntax an instance may run', () => {
  acorn.parse(fs.readFileSync(RULE, 'utf8'), { ecmaVersion: 5 });
});

test('a change is told as a snapshot', () => {
  const { url, method, timeout, headers, snapshot } = told(change());
  assert.equal(url, 'https://gateway.example/v1/tenants/contoso/webhooks/servicenow');
  assert.deepEqual([method, timeout, headers['content-type']], ['post', 10000, 'application/json']);
  assert.match(snapshot.event, /^[0-9a-f]{32}$/);
  assert.equal(headers['webhook-id'], snapshot.event);
  assert.ok(Math.abs(Number(headers['webhook-timestamp']) - Date.now() / 1000) < 60);
  assert.deepEqual({ ...snapshot, event: '' }, {
    event: '', instance: 'contoso', table: 'incident', sys_id: TICKET, number: 'INC0010001', correlation_id: 'sg1-abc',
    operation: 'update', sys_mod_count: '7', sys_updated_on: '2026-11-22 06:00:00', actor: 'abel.tuter',
    fields: {
      short_description: 'Front display', correlation_id: 'sg1-abc', state: { value: '2', display: 'In Progress' },
      hold_reason: '', assigned_to: { value: 'a1', display: 'Abel Tuter' },
    },
    journal: [], attachments: [],
  });
});

test('the published vector of Standard Webhooks comes out of the signing', () => {
  const adjust = (context) => {
    context.Date = class { getTime() { return 1614265330000; } };
    context.vector = '{"test": 2432232314}';
    require('node:vm').runInContext('JSON.stringify = function () { return vector; };', context);
  };
  const { headers } = told(change({ guid: 'msg_p5jXN8AQM9LWM0D4loKWxJek' }), { adjust });
  assert.equal(headers['webhook-timestamp'], '1614265330');
  assert.equal(headers['webhook-signature'], 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
});

test('what people write arrives as they wrote it, and the signature holds', () => {
  const texts = ['"quoted" \\ and {braces}', 'two\r\nlines\tand a tab', 'rm -rf ${HOME} $${x} $1', 'Größe – Прибор – 表示 – 🖥️', '\u0000\u007f\u2028'];
  for (const value of texts) {
    const request = told(withJournal([comment(1, value)]));
    assert.equal(request.snapshot.journal[0].value, value);
    assert.match(request.body.toString('latin1'), /^[\x20-\x23\x25-\x7e]+$/, 'printable ASCII without $');
    assert.equal(request.headers['webhook-signature'], signatures(request, [SECRET]));
  }
});

test('half an emoji, left by a cut column, does not make the JSON invalid', () => {
  const { body, snapshot } = told(withJournal([comment(1, 'cut \ud83d'), comment(2, '\ude00 cut')]));
  assert.deepEqual(snapshot.journal.map((entry) => entry.value), ['\ufffd cut', 'cut \ufffd']);
  assert.doesNotMatch(body.toString('utf8'), /\\ud83d|\\ude00/);
});

test('whatever the platform takes for the charset, the bytes and the signature are the same', () => {
  const adjust = (context) => { context.Date = class { getTime() { return 1614265330000; } }; };
  const from = withJournal([comment(1, 'Müller ${x} 🖥️')]);
  const [utf8, latin1] = ['utf8', 'latin1'].map((charset) => told({ ...from, guid: 'g' }, { charset, adjust }));
  assert.deepEqual(latin1.body, utf8.body);
  assert.deepEqual(latin1.headers, utf8.headers);
});

test('while one secret replaces another both sign', () => {
  const request = told(withProperties({ 'snowgate.webhook_secret_next': NEXT }));
  assert.equal(request.headers['webhook-signature'], signatures(request, [SECRET, NEXT]));
});

test('in the global scope the class for the MAC has its other name', () => {
  const request = told(change(), { scope: 'global' });
  assert.equal(request.headers['webhook-signature'], signatures(request, [SECRET]));
});

test('what the gateway itself wrote is not told back', () => {
  for (const user of ['snowgate', 'Snowgate']) {
    assert.deepEqual(silence(change({ user })), []);
  }
});

test('who saved the row before does not matter, only who changes it now', () => {
  const from = change();
  from.record.sys_updated_by = 'snowgate';
  assert.equal(told(from).snapshot.actor, 'abel.tuter');
});

test('without the name of the integration user it tells everything, and says so', () => {
  const { sent, logged } = runRule(withProperties({ 'snowgate.integration_user': '' }), { answer: taken });
  assert.equal(sent.length, 1);
  assert.match(logged.join(), /^warn Snowgate: the property snowgate\.integration_user is empty/);
});

test('work notes stay here unless they are allowed out', () => {
  const rows = [comment(1, 'for everyone'), comment(2, 'private', { element: 'work_notes' })];
  for (const permission of [undefined, '', 'false', 'yes', 'TRUE']) {
    const { body, snapshot } = told(withJournal(rows, { 'snowgate.send_work_notes': permission }));
    assert.deepEqual(snapshot.journal.map((entry) => entry.element), ['comments'], String(permission));
    assert.doesNotMatch(body.toString('utf8'), /private|history/);
  }
  const { snapshot } = told(withJournal(rows, { 'snowgate.send_work_notes': 'true' }));
  assert.deepEqual(snapshot.journal.map((entry) => entry.element), ['work_notes', 'comments']);
});

test('a query that the instance ignores lets out nobody else\'s texts', () => {
  const tables = {
    sys_journal_field: [comment(1, 'ours'), comment(2, 'private', { element: 'work_notes' }), comment(3, 'foreign', { element_id: 'x' })],
    sys_attachment: [{ sys_id: 'a1', table_name: 'incident', table_sys_id: 'x', file_name: 'salaries.xlsx' }],
  };
  const { snapshot } = told(change({ tables }), { queriesIgnored: true });
  assert.deepEqual(snapshot.journal.map((entry) => entry.value), ['ours']);
  assert.deepEqual(snapshot.attachments, []);
});

test('the newest ten entries are told, newest first', () => {
  const { snapshot } = told(withJournal(Array.from({ length: 14 }, (_, number) => comment(number, `entry ${number}`))));
  assert.deepEqual(snapshot.journal.map((entry) => entry.sys_id), Array.from({ length: 10 }, (_, back) => `j${13 - back}`));
  assert.deepEqual(snapshot.journal[0], { sys_id: 'j13', element: 'comments', value: 'entry 13', created_on: '2026-11-22 06:00:13', created_by: 'abel.tuter' });
});

test('files are named with what is needed to fetch them', () => {
  const file = {
    sys_id: 'a1', table_name: 'incident', table_sys_id: TICKET, file_name: 'Größe.log', content_type: 'text/plain',
    size_bytes: '12', hash: 'ab', sys_created_on: '2026-11-22 06:00:00', sys_created_by: 'abel.tuter',
  };
  const tables = { sys_attachment: [file, { ...file, sys_id: 'a2', table_name: 'problem' }] };
  assert.deepEqual(told(change({ tables })).snapshot.attachments, [{
    sys_id: 'a1', file_name: 'Größe.log', content_type: 'text/plain', size_bytes: '12', hash: 'ab',
    created_on: '2026-11-22 06:00:00', created_by: 'abel.tuter',
  }]);
});

test('a new file on a bridged ticket tells the ticket; a file elsewhere tells nothing', () => {
  const file = { sys_id: 'a1', table_name: 'incident', table_sys_id: TICKET, file_name: 'log.zip', sys_created_on: '2026-11-22 06:00:00' };
  const attached = (record, ticket = {}) => change({
    table: 'sys_attachment', operation: 'insert', record, tables: { incident: [{ ...change().record, ...ticket }], sys_attachment: [file] },
  });
  const { snapshot } = told(attached(file));
  assert.deepEqual([snapshot.table, snapshot.sys_id, snapshot.operation], ['incident', TICKET, 'update']);
  assert.deepEqual(snapshot.attachments.map((entry) => entry.file_name), ['log.zip']);
  assert.deepEqual(silence(attached(file, { correlation_id: '' })), []);
  assert.deepEqual(silence(attached({ ...file, table_name: 'kb_knowledge' })), []);
  assert.deepEqual(silence(attached({ ...file, table_sys_id: 'gone' })), []);
});

test('more columns are told when a property names them, and no journal among them', () => {
  const { snapshot } = told(withProperties({ 'snowgate.extra_fields': 'u_room, work_notes,u_missing, __proto__' }));
  assert.equal(snapshot.fields.u_room, 'Berlin 4.12');
  assert.equal('work_notes' in snapshot.fields || 'u_missing' in snapshot.fields, false);
});

test('a deletion tells which ticket, and nothing of what was in it', () => {
  const { snapshot } = told(change({ operation: 'delete' }));
  assert.deepEqual([snapshot.operation, snapshot.sys_id, snapshot.correlation_id], ['delete', TICKET, 'sg1-abc']);
  assert.equal('fields' in snapshot || 'journal' in snapshot || 'attachments' in snapshot, false);
});

test('where an async rule no longer knows the operation it is an update', () => {
  assert.equal(told(change({ operation: '' })).snapshot.operation, 'update');
});

test('what does not fit is left out, oldest first, and it says so', () => {
  const rows = Array.from({ length: 5 }, (_, number) => comment(number, '表'.repeat(4000)));
  const some = told(withJournal(rows));
  assert.ok(some.body.length <= 60000);
  assert.deepEqual(some.snapshot.journal.map((entry) => entry.sys_id), ['j4', 'j3']);
  assert.deepEqual(some.snapshot.left_out, ['journal']);
  const from = change();
  from.record.description = '表'.repeat(20000);
  const hint = told(from).snapshot;
  assert.deepEqual(hint.left_out, ['fields', 'journal', 'attachments']);
  assert.deepEqual([hint.table, hint.sys_id, 'fields' in hint], ['incident', TICKET, false]);
});

test('without a proper address or secret nothing leaves, and the log says what to do', () => {
  for (const [name, value] of [['webhook_url', ''], ['webhook_url', 'http://gateway.example/'], ['webhook_secret', ''], ['webhook_secret', 'hunter2'], ['webhook_secret', 'whsec_zu!kurz']]) {
    const logged = silence(withProperties({ [`snowgate.${name}`]: value })).join('\n');
    assert.match(logged, new RegExp(`error Snowgate: nothing is sent until the property snowgate\\.${name}`));
    assert.equal(value !== '' && !value.startsWith('http') && logged.includes(value), false, 'no secret in the log');
  }
});

test('a refusal is one readable line without content and secrets', () => {
  for (const [answer, expected] of [
    [{ status: 401, text: '{"code":"unauthorized"}' }, /HTTP 401\. Check snowgate\.webhook_secret, the tenant/],
    [{ status: 404, text: '{"code":\n\r\n"not_found"}' }, /HTTP 404\. Check snowgate\.webhook_url\. It said: \{"code": "not_found"\}/],
    [{ status: 429, text: '' }, /HTTP 429\. The gateway asks for patience/],
    [{ status: 503, text: '' }, /HTTP 503\. The gateway is not well/],
    [{ status: 0, error: 'connect timed out' }, /HTTP 0\. No answer within 10 s: .* connect timed out/],
  ]) {
    const { logged } = runRule(withJournal([comment(1, 'CANARY')]), { answer: () => answer });
    assert.equal(logged.length, 1);
    assert.match(logged[0], expected);
    assert.match(logged[0], /^warn Snowgate: INC0010001 \(event [0-9a-f]{32}\) was not told, .* finds the change when it next asks\.$/);
    assert.doesNotMatch(logged[0], /CANARY|whsec_|MfKQ9r8G/);
  }
});

test('nothing is ever thrown into the user\'s transaction', () => {
  const broken = [
    ['the request', { answer: () => { throw new Error('unknown host'); } }],
    ['the MAC', { adjust: (context) => { context.CertificateEncryption = class { generateMac() { return null; } }; } }],
    ['a class that is missing', { adjust: (context) => { delete context.sn_ws; } }],
  ];
  for (const [what, options] of broken) {
    const { logged } = runRule(change(), { answer: taken, ...options });
    assert.match(logged.join(), /^error Snowgate: the change was not told, the script failed: /, what);
  }
});
