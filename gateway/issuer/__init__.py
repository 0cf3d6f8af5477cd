"""The embedded authorization server: OAuth 2.0 client credentials (RFC 6749 §4.4), JWT access tokens (RFC 9068).

    form            what does the request say?                pure
    authentication  which client sent it?                     scrypt, in a thread
    scopes          what may the client have, of what it asks?  pure
    tokens          sign it

`token_endpoint` is these four in order, `server` its HTTP side, `running` the socket and the state file around it.

    introspection   what does a token mean, and is it good?
    revocation      a client gives a token up
    revocation_feed what is revoked, for gateways

`token_status` is the HTTP side of these three, and `issuance_log` writes down what the token endpoint did.
"""
