/* Runs the rule for the change on standard input (see runRule in instance.js) and prints what it logged, as JSON. */
'use strict';

const fs = require('node:fs');
const { runRule } = require('./instance.js');

const { change, options } = JSON.parse(fs.readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify({ logged: runRule(change, options).logged }));
