// An oidc-provider for the client_credentials grant. Its task is JSON: in the file that is named, else the first line of
// standard input, with whose end it ends. It says its readiness on standard output.
import { exportJWK, generateKeyPair } from 'jose'
import Provider from 'oidc-provider'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

const lines = process.argv[2] ? null : createInterface({ input: process.stdin })
const given = lines ? (await lines[Symbol.asyncIterator]().next()).value : readFileSync(process.argv[2], 'utf8')
const task = JSON.parse(given)

const keys = await Promise.all(
  task.algorithms.map(async (alg) => {
    const { privateKey } = await generateKeyPair(alg, { extractable: true })
    return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: `provider-${alg}` }
  }),
)

const provider = new Provider(task.issuer, {
  clients: task.clients.map((client) => ({
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    ...client,
  })),
  jwks: { keys },
  scopes: task.scopes,
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    dPoP: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_ctx, resource) => ({
        scope: task.scopes.join(' '),
        audience: resource,
        accessTokenTTL: 600,
        accessTokenFormat: task.formats[resource].format,
        jwt: { sign: { alg: task.formats[resource].alg ?? 'RS256' } },
      }),
    },
  },
})
const server = provider.listen(task.port, '127.0.0.1', () => console.log(JSON.stringify({ ready: true })))
lines?.on('close', () => server.close(() => process.exit(0)))
