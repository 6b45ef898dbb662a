package import Receipts

/// One provider's offer of one model, and what the router knows of it at this moment.
package struct ProviderRecord: Sendable {
    /// What its Evidence came to.
    package struct Attestation: Sendable, Equatable {
        /// The lease that it was admitted under; callers may pin it.
        package var session: String
        /// What was appraised, by name.
        package var claims: Set<String>
        /// Milliseconds since 1970 of the appraisal, and until when it is admitted.
        package var appraised: Int64
        package var admittedUntil: Int64

        package init(session: String, claims: Set<String>, appraised: Int64, admittedUntil: Int64) {
            self.session = session
            self.claims = claims
            self.appraised = appraised
            self.admittedUntil = admittedUntil
        }
    }

    /// What callers name it by in `order`, `only` and `ignore`.
    package var name: String
    package var digest: [UInt8]
    package var offer: Offer
    /// Tokens of a prompt and its answer together, as the model is served there.
    package var context: Int64
    /// Parameters of requests that it supports.
    package var parameters: Set<String>
    /// Nil where it has none that holds.
    package var attestation: Attestation?
    package var openStreams: Int64 = 0
    /// Tokens of the last minute, those that open streams are expected to take included.
    package var tokensInUse: Int64 = 0
    /// Whether it said that it is ready, when it was last asked.
    package var isHealthy = true
    package var reputation = Reputation()
    package var breaker = CircuitBreaker()
    /// By `CountConsensus`, when it was last worked out.
    package var inflation = Decision.Measures.unit

    package init(
        name: String, digest: [UInt8], offer: Offer, context: Int64, parameters: Set<String> = [],
        attestation: Attestation?
    ) {
        self.name = name
        self.digest = digest
        self.offer = offer
        self.context = context
        self.parameters = parameters
        self.attestation = attestation
    }
}
