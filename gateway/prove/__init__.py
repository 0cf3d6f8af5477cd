"""What can be proven about route tables before a request comes: by trying one request of every kind there is.

Requests that no table can tell apart are one kind. Their number is finite: a path differs only in which templates fit
it, a method in which routes name it, a token in which demands it meets. So one request of each kind is a proof, and
whatever is told of one was found by the table's own `match` and the gateway's own `decide`.

Where a rule or route says what is not known here, nothing is claimed: it is `unproven`, which is never a yes.

    places      one host, path and set of fields of every kind that routes tell apart
    paths       one path of every kind that the templates tell apart
    segments    one text of every kind that literals and patterns at one place tell apart
    modes       routes in shadow, or in a grace that is over
    field_kinds one set of fields of every kind that the routes at one place tell apart
    preflights  one preflight of every kind that the `cors` at one place tell apart
    callers     one token of every kind that the rules tell apart (scope_sets: the fewest scopes that meet a rule)
    beyond      what of rules, routes and issuers nothing is claimed of
    verdicts    the verdict on one request: match, take, check, decide
    difference  which kinds of request two tables answer differently
    proofs      what is doubtful in one table: who never matches, who overlaps (templates), what is left open
    left_out    ways past a route that is told apart by fields
    granted     scopes that are demanded and that nobody can have
    reach       all that one client may do
    replay      what would have become of a past request, by its record
    telling     all that as JSON, and requests in words (words)
"""
