internal import Appraisal
internal import HTTP
internal import Keys
internal import RATLS
internal import RATS
internal import TLS

/// Evidence that a server of another system showed over one connection, bound to that connection's
/// key.
struct ShownEvidence: Sendable {
    let carried: [CarriedEvidence]
    /// The certificate of the handshake.
    let certificate: Certificate
    let tier: AttestationResult.Tier
}

/// One connection to a server that speaks no exchange: its certificate, what it says by itself
/// after the handshake, or what it answers at one address.
struct ServerProbe {
    /// What to do next.
    enum Step {
        case send([UInt8])
        case wait
        case shown(ShownEvidence)
        /// There is nothing here, and what was found in its place.
        case nothing(String)
        case refused(Refusal)
    }

    /// Where to ask, when the certificate has nothing.
    let endpoint: AttestationEndpoint
    /// The value of the Host field.
    let authority: String
    /// Whether Evidence over a key is any use.
    let allowsStatic: Bool
    let now: Int64

    private let nonce = SecureRandom.bytes(AttestationEndpoint.nonceSize)
    private var certificate: Certificate?
    private var binding: [UInt8]?
    private var received: [UInt8] = []
    private var answer = AnswerReader(method: "GET", limit: AttestationEndpoint.maximumAnswer)

    /// Prepares to ask at `endpoint`.
    init(_ endpoint: AttestationEndpoint, authority: String, allowsStatic: Bool, now: Int64) {
        self.endpoint = endpoint
        self.authority = authority
        self.allowsStatic = allowsStatic
        self.now = now
    }

    /// The handshake is complete; `export` gives the RFC 5705 exporter of the connection.
    mutating func begin(
        _ handshake: Handshake, export: (_ label: String) -> [UInt8]?
    ) -> Step {
        guard let der = handshake.peerCertificate, let key = handshake.peerKey,
            let certificate = try? Certificate(der: der),
            ConstantTime.equal(certificate.spki, key)
        else { return .nothing("a certificate that cannot be read") }
        self.certificate = certificate
        if handshake.applicationProtocol == FlashbotsMessage.applicationProtocol {
            binding = export(FlashbotsMessage.exporterLabel) ?? []
            return .wait
        }
        guard allowsStatic else { return .refused(ForeignJob.sessionRequired(handshake)) }
        if AttestedLeaf.isOne(certificate) {
            return attempt { () throws(Refusal) in
                try AttestedLeaf(certificate, now: now).carried
            }
        }
        let head =
            "GET \(endpoint.path(nonce: nonce)) HTTP/1.1\r\nhost: \(authority)\r\n"
            + "user-agent: ratel\r\naccept: application/json\r\nconnection: close\r\n\r\n"
        return .send(Array(head.utf8))
    }

    /// The server sent `bytes`.
    mutating func receive(_ bytes: [UInt8]) -> Step {
        guard binding == nil else { return receiveMessage(bytes) }
        do throws(HTTPRefusal) {
            if let answer = try answer.append(bytes) { return take(answer) }
        } catch {
            return .nothing("no HTTP: \(error.code)")
        }
        return answer.isTooLong
            ? .nothing("over \(AttestationEndpoint.maximumAnswer) bytes") : .wait
    }

    /// The server ended the connection.
    mutating func ended() -> Step {
        guard binding == nil else { return .nothing("an end in place of a message") }
        return answer.ended().map { take($0) } ?? .nothing("an end in place of an answer")
    }

    private mutating func receiveMessage(_ bytes: [UInt8]) -> Step {
        received += bytes
        guard let certificate, let binding else { return .wait }
        do throws(Refusal) {
            guard let (message, _) = try FlashbotsMessage.read(received) else { return .wait }
            return .shown(
                ShownEvidence(
                    carried: [try message.carried(certificate, binding: binding)],
                    certificate: certificate, tier: .session))
        } catch {
            return .refused(error)
        }
    }

    private func take(_ answer: Fetch.Answer) -> Step {
        guard answer.status == 200 else { return .nothing("status \(answer.status)") }
        guard let certificate else { return .nothing("no certificate") }
        do throws(Refusal) {
            let carried = try endpoint.read(answer.body, nonce: nonce, certificate: certificate)
            guard let carried else { return .nothing("another service's answer") }
            return .shown(
                ShownEvidence(
                    carried: [carried], certificate: certificate,
                    tier: carried.coversKey ? .static : .none))
        } catch {
            return .refused(error)
        }
    }

    private func attempt(_ read: () throws(Refusal) -> [CarriedEvidence]) -> Step {
        guard let certificate else { return .nothing("no certificate") }
        do throws(Refusal) {
            return .shown(
                ShownEvidence(carried: try read(), certificate: certificate, tier: .static))
        } catch {
            return .refused(error)
        }
    }
}
