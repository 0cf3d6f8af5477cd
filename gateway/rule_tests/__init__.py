"""Do the rules do what their owner says? Cases beside the rules, judged by the journey that requests take.

    cases       a case of a file becomes a request, the claims of its token, and what has to come of it
    reading     where cases are: in the gateway's file, and in files beside it
    running     each case is judged as `explain` judges claims; what was found stands beside what was expected
    coverage    which routes and which reasons the cases reached
    view        the outcome for people, and as JSON
    junit       the same for build servers
    inline      cases of the gateway's file that fail, as errors of that file

No rule is written a second time: what a case tests is what runs.
"""
