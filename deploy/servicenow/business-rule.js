/*
 * Snowgate: tells the gateway that an incident changed. Paste the whole file into a business rule.
 *
 * The rule:        Table Incident [incident] · Advanced · When: async · Insert, Update, Delete · Order 1000
 * Filter:          1. which tickets: Correlation ID starts with sg1- (or Assignment group is one that opens incidents)
 *                  2. which changes: State changes, or Additional comments changes, or another field that you bridge
 *                  3. whose: Condition gs.getUserName() != gs.getProperty('snowgate.integration_user')
 * Second rule:     the same text on Attachments [sys_attachment] · async · Insert · filter: Table name is incident
 *
 * Properties (sys_properties):
 *   snowgate.webhook_url          https://GATEWAY/v1/tenants/TENANT/webhooks/servicenow
 *   snowgate.webhook_secret       type password2: whsec_ and base64 of 32 random bytes
 *   snowgate.webhook_secret_next  type password2: empty, but for the next secret while one replaces the other
 *   snowgate.integration_user     User ID of the account with which the gateway writes; its changes are not told back
 *   snowgate.send_work_notes      true: work notes leave this instance. Anything else: they do not
 *   snowgate.extra_fields         more columns to tell, separated by commas (u_room,u_site)
 *
 * It sends a snapshot, because an async rule may run late and knows no previous values: the gateway works out what changed.
 * It changes no record, so it cannot set off itself or another rule. It never throws; what went wrong is in the system
 * log, under `Snowgate:`. It does not try again: the gateway asks for changes from time to time and finds what it missed.
 *
 * ES5, for every engine mode. The request is ASCII without `$`: whatever the platform takes for the charset, and whatever
 * it substitutes in bodies, what is sent is what was signed (Standard Webhooks, HMAC-SHA256).
 */
(function executeRule(current, previous /* null: the rule is async */) {
    /** Columns sent as they are. A fixed list: scripts see what no user may see, so nothing is sent that is not named. */
    var PLAIN = ['short_description', 'description', 'close_notes', 'correlation_id', 'correlation_display', 'active',
        'reopen_count', 'opened_at', 'resolved_at', 'closed_at', 'due_date', 'sys_created_on', 'sys_created_by',
        'sys_updated_by'];
    /** Columns whose value is a code or a reference: sent with what people see. */
    var SHOWN = ['state', 'hold_reason', 'impact', 'urgency', 'priority', 'severity', 'category', 'subcategory',
        'contact_type', 'caller_id', 'assignment_group', 'assigned_to', 'cmdb_ci', 'business_service', 'company',
        'location', 'close_code', 'opened_by', 'resolved_by', 'closed_by', 'parent_incident'];
    /** Journals have their own part of the snapshot, with their own permission. */
    var JOURNALS = /^(comments|work_notes|comments_and_work_notes)$/;
    /** What the gateway writes into correlation_id begins with this. */
    var OURS = 'sg1-';
    var ENTRIES_MAX = 10;
    /** The gateway takes 64 KiB at least. Older entries are left out first; it can read them from the ticket. */
    var BODY_CHARS_MAX = 60000;
    /** Four connections per host are all this instance has: do not hold one for long. */
    var WAIT_MILLIS = 10000;

    try {
        tell();
    } catch (problem) {
        gs.error('Snowgate: the change was not told, the script failed: ' + problem);
    }

    function tell() {
        var integrationUser = property('snowgate.integration_user');
        var actor = text(gs.getUserName());
        if (integrationUser === '') {
            gs.warn('Snowgate: the property snowgate.integration_user is empty, so the gateway is told its own changes.');
        } else if (actor.toLowerCase() === integrationUser.toLowerCase()) {
            return;
        }
        var ticket = ticketOf(current);
        if (ticket === null) {
            return;
        }
        var url = property('snowgate.webhook_url');
        var keys = signingKeys();
        if (url.indexOf('https://') !== 0) {
            gs.error('Snowgate: nothing is sent until the property snowgate.webhook_url begins with https://.');
        } else if (keys.length === 0) {
            gs.error('Snowgate: nothing is sent until the property snowgate.webhook_secret holds whsec_ and base64.');
        } else {
            send(url, keys, snapshot(ticket, actor));
        }
    }

    /** The ticket that the record belongs to; null if it is an attachment of a ticket that is not bridged. */
    function ticketOf(record) {
        if (String(record.getTableName()) !== 'sys_attachment') {
            return record;
        }
        var ticket = new GlideRecord('incident');
        var found = text(record.getValue('table_name')) === 'incident' && ticket.get(text(record.getValue('table_sys_id')));
        return found && text(ticket.getValue('correlation_id')).indexOf(OURS) === 0 ? ticket : null;
    }

    function snapshot(ticket, actor) {
        var isTicket = ticket === current;
        var operation = (isTicket && text(current.operation())) || 'update';
        var told = {
            event: text(gs.generateGUID()),
            instance: property('instance_name'),
            table: text(ticket.getTableName()),
            sys_id: text(ticket.getUniqueValue()),
            number: text(ticket.getValue('number')),
            correlation_id: text(ticket.getValue('correlation_id')),
            operation: operation,
            sys_mod_count: text(ticket.getValue('sys_mod_count')),
            sys_updated_on: text(ticket.getValue('sys_updated_on')),
            actor: actor
        };
        if (operation !== 'delete') {
            told.fields = fieldsOf(ticket);
            told.journal = journalOf(told.sys_id);
            told.attachments = attachmentsOf(told.table, told.sys_id);
        }
        return told;
    }

    function fieldsOf(ticket) {
        var fields = {};
        var shown = SHOWN.concat(property('snowgate.extra_fields').split(/[\s,]+/));
        PLAIN.forEach(function (name) {
            if (ticket.isValidField(name)) {
                fields[name] = text(ticket.getValue(name));
            }
        });
        shown.forEach(function (name) {
            if (/^[a-z][a-z0-9_]*$/.test(name) && !JOURNALS.test(name) && ticket.isValidField(name)) {
                fields[name] = withDisplay(text(ticket.getValue(name)), ticket.getElement(name));
            }
        });
        return fields;
    }

    function withDisplay(value, element) {
        var display = value === '' ? '' : text(element.getDisplayValue());
        return display === value ? value : { value: value, display: display };
    }

    /** The newest entries, newest first. Each is looked at again: a query that the platform ignores matches everything. */
    function journalOf(sysId) {
        var allowed = property('snowgate.send_work_notes') === 'true' ? ['comments', 'work_notes'] : ['comments'];
        var rows = newestOf('sys_journal_field', 'element_id', sysId, function (rows) {
            rows.addQuery('element', 'IN', allowed.join(','));
        });
        return collect(rows, function (row) {
            var element = text(row.getValue('element'));
            if (text(row.getValue('element_id')) !== sysId || allowed.indexOf(element) < 0) {
                return null;
            }
            return {
                sys_id: text(row.getUniqueValue()),
                element: element,
                value: text(row.getValue('value')),
                created_on: text(row.getValue('sys_created_on')),
                created_by: text(row.getValue('sys_created_by'))
            };
        });
    }

    function attachmentsOf(table, sysId) {
        var rows = newestOf('sys_attachment', 'table_sys_id', sysId, function (rows) {
            rows.addQuery('table_name', table);
        });
        return collect(rows, function (row) {
            if (text(row.getValue('table_sys_id')) !== sysId || text(row.getValue('table_name')) !== table) {
                return null;
            }
            return {
                sys_id: text(row.getUniqueValue()),
                file_name: text(row.getValue('file_name')),
                content_type: text(row.getValue('content_type')),
                size_bytes: text(row.getValue('size_bytes')),
                hash: text(row.getValue('hash')),
                created_on: text(row.getValue('sys_created_on')),
                created_by: text(row.getValue('sys_created_by'))
            };
        });
    }

    function newestOf(table, column, sysId, narrow) {
        var rows = new GlideRecord(table);
        rows.addQuery(column, sysId);
        narrow(rows);
        rows.orderByDesc('sys_created_on');
        rows.setLimit(ENTRIES_MAX);
        rows.query();
        return rows;
    }

    function collect(rows, entryOf) {
        var entries = [];
        while (rows.next()) {
            var entry = entryOf(rows);
            if (entry !== null) {
                entries.push(entry);
            }
        }
        return entries;
    }

    function send(url, keys, told) {
        var body = fitted(told);
        var timestamp = String(Math.floor(new Date().getTime() / 1000));
        var signatures = keys.map(function (key) {
            return 'v1,' + mac(key, told.event + '.' + timestamp + '.' + body);
        });
        var request = new sn_ws.RESTMessageV2();
        request.setEndpoint(url);
        request.setHttpMethod('post');
        request.setHttpTimeout(WAIT_MILLIS);
        request.setRequestHeader('Content-Type', 'application/json');
        request.setRequestHeader('webhook-id', told.event);
        request.setRequestHeader('webhook-timestamp', timestamp);
        request.setRequestHeader('webhook-signature', signatures.join(' '));
        request.setRequestBody(body);
        judge(request.execute(), told);
    }

    function judge(response, told) {
        var status = Number(response.getStatusCode());
        if (status >= 200 && status < 300) {
            return;
        }
        var advice = 'The gateway is not well; there is nothing to do here.';
        if (!(status > 0)) {
            advice = 'No answer within ' + WAIT_MILLIS / 1000 + ' s: check the name, the firewall and the certificate. '
                + text(response.getErrorMessage());
        } else if (status === 401 || status === 403) {
            advice = 'Check snowgate.webhook_secret, the tenant in snowgate.webhook_url, and the clock.';
        } else if (status === 429) {
            advice = 'The gateway asks for patience; there is nothing to do here.';
        } else if (status >= 300 && status < 500) {
            advice = 'Check snowgate.webhook_url. It said: ' + text(response.getBody()).slice(0, 300).replace(/\s+/g, ' ');
        }
        gs.warn('Snowgate: ' + told.number + ' (event ' + told.event + ') was not told, HTTP ' + status + '. ' + advice
            + ' The gateway finds the change when it next asks.');
    }

    /** The body, shortened until it fits: entries first (oldest first), then everything but the ticket's keys. */
    function fitted(told) {
        var body = asciiJson(told);
        while (body.length > BODY_CHARS_MAX && told.journal && told.journal.length > 0) {
            told.journal.pop();
            told.left_out = ['journal'];
            body = asciiJson(told);
        }
        if (body.length > BODY_CHARS_MAX) {
            told.left_out = ['fields', 'journal', 'attachments'];
            told.left_out.forEach(function (part) {
                delete told[part];
            });
            body = asciiJson(told);
        }
        return body;
    }

    /** JSON of printable ASCII without `$`: no charset and no variable substitution can change it. */
    function asciiJson(value) {
        return JSON.stringify(value).replace(/[^\x20-\x7e]|\$/g, function (character) {
            return '\\u' + ('000' + character.charCodeAt(0).toString(16)).slice(-4);
        });
    }

    /** The keys of both secrets, base64 as generateMac wants them. */
    function signingKeys() {
        var keys = [];
        ['snowgate.webhook_secret', 'snowgate.webhook_secret_next'].forEach(function (name) {
            var secret = property(name);
            if (/^whsec_[A-Za-z0-9+\/]{32,88}={0,2}$/.test(secret)) {
                keys.push(secret.slice('whsec_'.length));
            } else if (secret !== '') {
                gs.error('Snowgate: the property ' + name + ' is not whsec_ and base64; it is not used.');
            }
        });
        return keys;
    }

    /** HMAC-SHA256 in base64. The class has one name in scoped applications and another in the global scope. */
    function mac(key, signed) {
        var Kind = typeof CertificateEncryption !== 'undefined' ? CertificateEncryption : GlideCertificateEncryption;
        var made = text(new Kind().generateMac(key, 'HmacSHA256', signed));
        if (!/^[A-Za-z0-9+\/]{43}=$/.test(made)) {
            throw new Error('generateMac gave no HMAC-SHA256; is the secret valid base64?');
        }
        return made;
    }

    function property(name) {
        return text(gs.getProperty(name, '')).trim();
    }

    /** Text of this engine from whatever the platform gives; half a character, left by a cut column, is replaced. */
    function text(value) {
        if (value === null || value === undefined) {
            return '';
        }
        return String(value).replace(/[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g, function (found) {
            return found.length === 2 ? found : '\ufffd';
        });
    }
})(current, previous);
