// A real OAuth server on loopback for tests/it/callers.rs: client credentials, tokens as JWT, and keys that can be rotated.
// Prints its address as one line of JSON. `POST /rotate` signs with a new key from then on and keeps publishing the old one.
import { createServer } from 'node:http';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { Provider } from 'oidc-provider';

const [clientId, clientSecret] = process.argv.slice(2);

function newKeys() {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  return [
    { ...rsa, kid: randomUUID(), use: 'sig', alg: 'RS256' },
    { ...ec, kid: randomUUID(), use: 'sig', alg: 'ES256' },
  ];
}

function handlerWith(issuer, keys) {
  const provider = new Provider(issuer, {
    clients: [{
      client_id: clientId,
      client_secret: clientSecret,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    }],
    jwks: { keys },
    cookies: { keys: [randomUUID()] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, resource) => ({
          scope: 'incidents.push',
          audience: resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 3600,
          jwt: { sign: { alg: resource.endsWith('/curves') ? 'ES256' : 'RS256' } },
        }),
      },
    },
  });
  return provider.callback();
}

let handler;
let keys = newKeys();
const server = createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/rotate') {
    keys = [...newKeys(), ...keys];
    handler = handlerWith(issuerOf(server), keys);
    response.writeHead(204).end();
    return;
  }
  handler(request, response);
});

const issuerOf = (listening) => `http://127.0.0.1:${listening.address().port}`;

server.listen(0, '127.0.0.1', () => {
  handler = handlerWith(issuerOf(server), keys);
  console.log(JSON.stringify({ issuer: issuerOf(server) }));
});
