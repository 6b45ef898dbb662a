public import Keys

/// Whose Attestation Results are taken, and what they have to say. Nothing has a default.
public struct ResultPolicy: Sendable {
    /// What a text may be.
    public enum Names: Sendable, Equatable {
        /// Anything, also nothing; only ever because a policy says `any`.
        case any
        /// One of these.
        case oneOf([String])
    }

    /// What one claim may be.
    public struct Constraint: Sendable, Equatable {
        /// The names from the outermost object inwards.
        public let path: [String]
        /// The values allowed; an absent claim is not among them.
        public let allowed: [JSONValue]

        /// Constrains the claim at `path`, which has at least one name.
        public init(path: [String], allowed: [JSONValue]) {
            self.path = path
            self.allowed = allowed
        }
    }

    /// The keys of the Verifier.
    public internal(set) var keys: VerifierKeys
    /// Who the token says made it, `iss`.
    public let issuer: Names
    /// Whom it is for, `aud`: one of its values has to be accepted.
    public let audience: Names
    /// Seconds since it was issued, `iat`.
    public let maxAge: UInt32
    /// What else it has to say; at least one claim.
    public let claims: [Constraint]

    /// Puts together what a token has to show.
    public init(
        keys: VerifierKeys, issuer: Names, audience: Names, maxAge: UInt32, claims: [Constraint]
    ) {
        self.keys = keys
        self.issuer = issuer
        self.audience = audience
        self.maxAge = maxAge
        self.claims = claims
    }
}
