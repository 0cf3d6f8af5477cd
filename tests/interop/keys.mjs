// A private JWK as the Web Crypto key that the clients sign assertions with.
import { importJWK } from 'jose'

export const signingKey = async (jwk) => ({ key: await importJWK(jwk, jwk.alg), kid: jwk.kid })
