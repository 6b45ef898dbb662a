internal import Keys
public import RATS

/// One challenge that a server answers outside the exchange, over the connection it came on:
/// protocol.md, `POST /.well-known/ratel/attestation`.
///
/// A value that does no I/O: a challenge body goes in, `job` has to be run, and its outcome gives
/// the evidence body. What is quoted is computed from the live connection: nothing that the caller
/// sends is signed but by its hash.
public struct AnsweredChallenge: Sendable {
    /// The longest body of a challenge, in bytes: protocol.md, "The exchange".
    public static let maxSize = Frame.Kind.challenge.limit

    /// What the Attester has to do.
    public let job: QuoteJob
    private let configuration: [UInt8]
    private let nonce: [UInt8]

    /// Reads the challenge exactly as it was sent, and binds it to the connection.
    ///
    /// `sequence` is how many challenges of this connection this side has answered before. Refuses
    /// what is malformed or asks for nothing, and what this side has no Evidence for.
    public init(
        _ challenge: [UInt8],
        sequence: UInt32,
        channel: ChannelFacts,
        settings: ExchangeSettings
    ) throws(Refusal) {
        guard let question = try ChallengeBody.decode(challenge).question else {
            throw ExchangeRules.refusal(
                "exchange.challenge.empty",
                "challenge",
                expected: "a nonce and kinds of Evidence",
                got: "a challenge that asks for nothing"
            )
        }
        let attestation = try settings.mustAttest()
        try attestation.check(wanted: question.kinds)
        configuration = settings.configuration
        nonce = SecureRandom.bytes(Binding.nonceSize)
        let inputs = try channel.inputs(
            attester: channel.role,
            attesterKey: try channel.mustHaveKey(),
            peerKey: channel.peerSPKI,
            challenge: challenge,
            sequence: sequence,
            nonce: nonce,
            configurationHash: settings.configurationHash
        )
        job = QuoteJob(attestation: attestation, work: .quote(base: Binding.base(inputs)))
    }

    /// The evidence body for what came of the job.
    public func body(_ outcome: QuoteJob.Outcome) throws(Refusal) -> [UInt8] {
        guard case .evidence(let quoted) = outcome.product else {
            preconditionFailure("the outcome of another job")
        }
        return try quoted.body(nonce: nonce, configuration: configuration).encodedInLimit()
    }
}
