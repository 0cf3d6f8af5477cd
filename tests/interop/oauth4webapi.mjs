// Gets a token with oauth4webapi and calls an API with it. Task on standard input, result on standard output, both JSON.
import { text } from 'node:stream/consumers'
import * as oauth from 'oauth4webapi'
import { signingKey } from './keys.mjs'

const task = JSON.parse(await text(process.stdin))
const local = { [oauth.allowInsecureRequests]: true }
const client = { client_id: task.client_id }

const proofs = {
  client_secret_basic: () => oauth.ClientSecretBasic(task.secret),
  client_secret_post: () => oauth.ClientSecretPost(task.secret),
  client_secret_jwt: () => oauth.ClientSecretJwt(task.secret),
  private_key_jwt: async () => oauth.PrivateKeyJwt(await signingKey(task.key)),
}

const issuer = new URL(task.issuer)
const found = await oauth.discoveryRequest(issuer, { algorithm: task.discovery, ...local })
const server = await oauth.processDiscoveryResponse(issuer, found)
const proof = await proofs[task.method]()
const DPoP = task.dpop ? oauth.DPoP(client, await oauth.generateKeyPair('ES256')) : undefined
const asked = new URLSearchParams(task.parameters)
const answer = await oauth.clientCredentialsGrantRequest(server, client, proof, asked, { DPoP, ...local })
const token = await oauth.processClientCredentialsResponse(server, client, answer)
const called = await oauth
  .protectedResourceRequest(token.access_token, 'GET', new URL(task.api), undefined, undefined, { DPoP, ...local })
  .then((response) => response.status, (error) => error.status ?? error.cause?.status ?? String(error))
console.log(JSON.stringify({ token, called }))
