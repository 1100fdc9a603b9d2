// An OAuth 2.0 server that is not ours: `oidc-provider`, with `jose` as the judge of assertions. Reads its settings from the
// environment, listens on a free port of this machine and prints where tokens are given out.
import http from 'node:http';
import { Provider, errors } from 'oidc-provider';
import { importSPKI, jwtVerify } from 'jose';

const { CLIENT_ID, CLIENT_SECRET, PUBLIC_KEY, ALGORITHM, KEY_ID } = process.env;
const ASSERTION = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

const server = http.createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  clients: [{
    client_id: CLIENT_ID,
    client_secret: CLIENT_SECRET,
    grant_types: ['client_credentials', ASSERTION],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: 'client_secret_post',
  }],
  features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
});

const key = await importSPKI(PUBLIC_KEY, ALGORITHM);
const used = new Set();
provider.registerGrantType(ASSERTION, async (ctx) => {
  const { client, params } = ctx.oidc;
  const asked = { issuer: CLIENT_ID, audience: CLIENT_ID, subject: 'snowgate', algorithms: [ALGORITHM], maxTokenAge: '5m',
    requiredClaims: ['exp', 'iat', 'jti'] };
  const { payload, protectedHeader } = await jwtVerify(params.assertion, key, asked).catch((why) => {
    throw new errors.InvalidGrant(why.message);
  });
  if (protectedHeader.kid !== KEY_ID || used.has(payload.jti)) throw new errors.InvalidGrant('key or id');
  used.add(payload.jti);
  const token = new provider.ClientCredentials({ client });
  ctx.body = { access_token: await token.save(), expires_in: token.expiration, token_type: token.tokenType };
}, ['assertion']);

server.on('request', provider.callback());
console.log(`${issuer}/token`);
