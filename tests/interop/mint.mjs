// Mints tokens with jose, one for each task: a private JWK, a header and claims. Both ways are JSON.
import { importJWK, SignJWT } from 'jose'
import { text } from 'node:stream/consumers'

const { tasks } = JSON.parse(await text(process.stdin))
const minted = tasks.map(async ({ key, header, claims }) =>
  new SignJWT(claims).setProtectedHeader(header).sign(await importJWK(key, header.alg)),
)
console.log(JSON.stringify({ tokens: await Promise.all(minted) }))
