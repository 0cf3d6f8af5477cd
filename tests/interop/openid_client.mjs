// Gets a token with openid-client and calls an API with it. Task on standard input, result on standard output, both JSON.
import { text } from 'node:stream/consumers'
import * as client from 'openid-client'
import { signingKey } from './keys.mjs'

const task = JSON.parse(await text(process.stdin))

const proofs = {
  client_secret_basic: () => client.ClientSecretBasic(task.secret),
  client_secret_post: () => client.ClientSecretPost(task.secret),
  client_secret_jwt: () => client.ClientSecretJwt(task.secret),
  private_key_jwt: async () => client.PrivateKeyJwt(await signingKey(task.key)),
}

const proof = await proofs[task.method]()
const server = await client.discovery(new URL(task.issuer), task.client_id, undefined, proof, {
  algorithm: task.discovery,
  execute: [client.allowInsecureRequests],
})
const DPoP = task.dpop ? client.getDPoPHandle(server, await client.randomDPoPKeyPair('ES256')) : undefined
const token = await client.clientCredentialsGrant(server, task.parameters, { DPoP })
const called = await client
  .fetchProtectedResource(server, token.access_token, new URL(task.api), 'GET', undefined, undefined, { DPoP })
  .then((response) => response.status, (error) => error.status ?? error.cause?.status ?? String(error))
console.log(JSON.stringify({ token, called }))
