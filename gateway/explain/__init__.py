"""Why was this request refused, and what would let it in?

A request is read, matched, verified and decided by the very functions that the running gateway uses; what stands here
only tells what they found. No rule is written a second time.

    reading     the request, read by the gateway's own connection and parser
    grounds     the configuration as routes, issuers and keys
    stand_in    claims without a signature, as a token that a stand-in key has signed
    judging     the gateway's judgement, with keys looked for where they are missing
    telling     the judgement as an Explanation (model): a step for match, take, verify (verifying) and decide
    introspected  the same of an opaque token, by what its issuer tells of it
    remedies    the smallest change that turns a refusal into entry (targets, scopes: what takes longer to find)
    view        an Explanation for people, and as JSON
    words       values and times in words, fit for a terminal
"""
