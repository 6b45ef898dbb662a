internal import HTTP
internal import Keys
internal import Loop
internal import RATLS
internal import RATS
internal import Streams
internal import TLS

/// Answers what comes under `/.well-known/ratel/`: Evidence for callers that speak no exchange.
///
/// A challenge in a POST gets Evidence over the very connection it came on, and a GET the Evidence
/// in that connection's certificate. Nothing of it reaches a backend.
struct WellKnownEndpoint {
    /// What this side attests with; nil on listeners that do not attest.
    let channel: Channel?
    unowned let connection: Downstream

    private static let evidenceType = "application/cbor"
    /// RFC 9999.
    private static let collectionType = "application/cmw+cbor"

    /// What becomes of a request whose path is reserved.
    func disposition(of head: RequestHead) -> Disposition {
        guard channel != nil else { return .respond(.attestsNothing) }
        guard head.path == WellKnownPath.attestation else {
            return .respond(.unknownWellKnown)
        }
        switch head.method {
        case "GET", "HEAD":
            return staticForm
        case "POST":
            guard WellKnownEndpoint.isEvidenceType(head.fields) else {
                return .respond(.challengeType)
            }
            if case .length(let length) = head.framing, length > AnsweredChallenge.maxSize {
                return .respond(Failure(.bodyTooLarge(UInt64(AnsweredChallenge.maxSize))))
            }
            return .collect(within: AnsweredChallenge.maxSize)
        default:
            return .respond(.methodOfWellKnown)
        }
    }

    private var staticForm: Disposition {
        guard let der = connection.localCertificate, let leaf = try? Certificate(der: der),
            let collection = AttestedCertificate.collection(in: leaf)
        else { return .respond(.noStaticEvidence) }
        return .answer(
            status: 200, contentType: WellKnownEndpoint.collectionType, body: collection)
    }

    private static func isEvidenceType(_ fields: HTTPFields) -> Bool {
        let values = fields.values(named: "content-type")
        guard values.count == 1, let type = values[0].split(separator: ";").first else {
            return false
        }
        return type.lowercased().filter { $0 != " " && $0 != "\t" } == evidenceType
    }

    /// Answers the challenge in `body`, once the Attester has had its turn.
    func answer(_ body: [UInt8], with reply: LocalReply) {
        guard let channel, let caller = connection.peer as? AdmittedCaller,
            let handshake = connection.handshake
        else { return reply.refuse(.attestsNothing) }
        guard let sequence = caller.challenges.begin() else {
            return reply.refuse(.challengeUnderWay)
        }
        reply.didEnd = { caller.challenges.end(isAnswered: false) }
        do throws(Refusal) {
            let challenge = try AnsweredChallenge(
                body, sequence: sequence, channel: channel.facts(of: connection, handshake),
                settings: channel.settings)
            let bound = LoopBound((caller: caller, reply: reply))
            channel.quotes.submit(
                challenge.job, of: connection.callerHost,
                isWanted: { [presence = reply.presence] in presence.isThere },
                to: connection.loop.mailbox
            ) { outcome in
                let (caller, reply) = bound.value
                WellKnownEndpoint.finish(reply, of: caller, challenge, outcome)
            }
        } catch {
            reply.refuse(Failure(ofChallenge: error))
        }
    }

    private static func finish(
        _ reply: LocalReply, of caller: AdmittedCaller, _ challenge: AnsweredChallenge,
        _ outcome: Result<QuoteJob.Outcome, Refusal>
    ) {
        guard reply.presence.isThere else { return }
        do throws(Refusal) {
            let body = try challenge.body(try outcome.get())
            reply.didEnd = nil
            caller.challenges.end(isAnswered: true)
            reply.send(status: 200, contentType: evidenceType, body: body)
        } catch {
            reply.refuse(Failure(ofChallenge: error))
        }
    }
}
