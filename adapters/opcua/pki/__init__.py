"""Certificates: the gateway's own, those of servers, and whom this gateway trusts.

    certificates    what stands in a certificate, for people and for checks
    checks          which checks a server's certificate fails (pure)
    folders         own, trusted, rejected, issuers and crl on disk
    own             the application instance certificate of this gateway: made, and renewed before it expires
    texts           what `tidegate pki` prints

These files know the `cryptography` library, which asyncua brings, and not asyncua itself. They are imported only where
a device is secured or a person looks at certificates.
"""
