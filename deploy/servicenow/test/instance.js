/*
 * As much of a ServiceNow instance as the business rule touches, around the very file that is pasted.
 *
 * Owns: small fakes of GlideRecord, gs, CertificateEncryption and RESTMessageV2; the MAC is Node's own, and `execute`
 * makes a real HTTP request. Never: forgives; a method that is not here is a TypeError, and every value that the
 * platform gives is an object that is no JavaScript string, as Java's strings are not. Proved by: business-rule.test.js.
 */
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');
const { spawnSync } = require('node:child_process');

const RULE = path.join(__dirname, '..', 'business-rule.js');

/** A string as the platform gives it, Java's: only `String(x)` makes it one of JavaScript's, `x.toString()` does not. */
class PlatformString {
  #text;
  constructor(text) { this.#text = text; }
  toString() { return this; }
  [Symbol.toPrimitive]() { return this.#text; }
}

/** Nothing is null on the platform, as in a column that was never set. */
const platform = (text) => (text === undefined || text === null || text === '' ? null : new PlatformString(String(text)));

/** A table is a list of rows; a column is text, or `{value, display}`. */
function glideRecordOver(tables, options) {
  return class GlideRecord {
    #table; #conditions = []; #newest = ''; #limit = Infinity; #found = []; #row = null; #operation;
    constructor(table, row, operation) { this.#table = String(table); this.#row = row ?? null; this.#operation = operation; }
    addQuery(column, operatorOrValue, value) {
      const [operator, wanted] = value === undefined ? ['=', operatorOrValue] : [operatorOrValue, value];
      this.#conditions.push({ column, operator, wanted: String(wanted) });
    }
    orderByDesc(column) { this.#newest = column; }
    setLimit(limit) { this.#limit = limit; }
    query() {
      const matches = (row) => options.queriesIgnored || this.#conditions.every(({ column, operator, wanted }) =>
        (operator === 'IN' ? wanted.split(',') : [wanted]).includes(valueOf(row, column)));
      const rows = (tables[this.#table] ?? []).filter(matches);
      rows.sort((one, other) => valueOf(other, this.#newest).localeCompare(valueOf(one, this.#newest)));
      this.#found = rows.slice(0, this.#limit);
    }
    next() { this.#row = this.#found.shift() ?? null; return this.#row !== null; }
    get(sysId) {
      this.#row = (tables[this.#table] ?? []).find((row) => row.sys_id === String(sysId)) ?? null;
      return this.#row !== null;
    }
    getTableName() { return platform(this.#table); }
    getUniqueValue() { return platform(this.#row.sys_id); }
    getValue(column) { return platform(valueOf(this.#row, column)); }
    isValidField(column) { return Object.hasOwn(this.#row, column); }
    getElement(column) {
      const cell = this.#row[column];
      return { getDisplayValue: () => platform(cell?.display ?? valueOf(this.#row, column)) };
    }
    operation() { return platform(this.#operation); }
  };
}

const valueOf = (row, column) => String(row[column]?.value ?? row[column] ?? '');

/** `generateMac(key, algorithm, data)`: a base64 key in, base64 out. `charset` is what the platform takes text for. */
function certificateEncryption(charset) {
  return class {
    generateMac(key, algorithm, data) {
      if (algorithm !== 'HmacSHA256') throw new Error(`algorithm ${algorithm}`);
      const mac = crypto.createHmac('sha256', Buffer.from(String(key), 'base64'));
      return platform(mac.update(Buffer.from(String(data), charset)).digest('base64'));
    }
  };
}

/** An outbound request. `${…}` in a body is replaced by nothing, as the platform does for variables it does not know. */
function restMessage(options, sent) {
  return class {
    #request = { headers: {} };
    setEndpoint(url) { this.#request.url = String(url); }
    setHttpMethod(method) { this.#request.method = String(method); }
    setHttpTimeout(millis) { this.#request.timeout = millis; }
    setRequestHeader(name, value) { this.#request.headers[String(name).toLowerCase()] = String(value); }
    setRequestBody(body) { this.#request.body = Buffer.from(String(body).replace(/\$\{[^}]*\}/g, ''), options.charset); }
    execute() {
      sent.push(this.#request);
      const { status, text, error } = options.answer?.(this.#request) ?? postedFor(this.#request);
      return {
        getStatusCode: () => status,
        getBody: () => platform(text),
        getErrorMessage: () => platform(error),
      };
    }
  };
}

/** A real POST. The script waits for it, so another process makes it. TLS ends before the server that is tested. */
function postedFor(request) {
  const asked = { ...request, url: request.url.replace('https://127.0.0.1:', 'http://127.0.0.1:') };
  const input = JSON.stringify({ ...asked, body: asked.body.toString('base64') });
  const run = spawnSync(process.execPath, [path.join(__dirname, 'post.js')], { input, encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`post.js: ${run.stderr}`);
  return JSON.parse(run.stdout);
}

/**
 * Runs the rule for one change and tells what it sent and logged.
 *
 * `change`: {table, operation, user, record, tables, properties}. `options`: charset, scope (`scoped` or `global`),
 * queriesIgnored, answer(request), adjust(context).
 */
function runRule(change, given = {}) {
  const options = { charset: 'utf8', scope: 'scoped', ...given };
  const [sent, logged] = [[], []];
  const logs = (level) => (message) => { logged.push(`${level} ${message}`); };
  const properties = change.properties ?? {};
  const GlideRecord = glideRecordOver(change.tables ?? {}, options);
  const context = {
    GlideRecord,
    sn_ws: { RESTMessageV2: restMessage(options, sent) },
    [options.scope === 'global' ? 'GlideCertificateEncryption' : 'CertificateEncryption']: certificateEncryption(options.charset),
    gs: {
      getUserName: () => platform(change.user),
      getProperty: (name, otherwise) => platform(properties[name] ?? otherwise),
      generateGUID: () => platform(change.guid ?? crypto.randomBytes(16).toString('hex')),
      error: logs('error'), warn: logs('warn'),
    },
    current: new GlideRecord(change.table ?? 'incident', change.record, change.operation ?? 'update'),
    previous: null,
  };
  vm.createContext(context);
  options.adjust?.(context);
  vm.runInContext(fs.readFileSync(RULE, 'utf8'), context, { filename: RULE });
  return { sent, logged };
}

module.exports = { RULE, runRule };
