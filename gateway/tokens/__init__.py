"""Is the token genuine and valid? The border to PyJWT, the issuers' keys, and the tokens that were verified before."""
