internal import Keys
internal import RATS

extension CheckedCollateral {
    /// The media type of a certificate that an OCSP answer beside it is about: answers name
    /// certificates by hashes alone.
    public static let subjectType = "application/vnd.ratel.ocsp-subject"

    /// A whole chain's answers, signed and current, whatever they say: revoked is an answer too.
    static func status(
        _ endorsements: [Endorsement], _ encoded: [[UInt8]], _ roots: [[UInt8]], _ now: Int64
    ) throws(Refusal) -> Facts {
        var chain: [Certificate] = []
        for der in encoded {
            guard let certificate = try? Certificate.read(der: der) else { break }
            chain.append(certificate)
        }
        guard chain.count == encoded.count, let root = chain.last,
            roots.contains(Digest.sha256(root.spki))
        else {
            throw refusal(
                "collateral.other", "certificates", "a chain to a pinned root", "another")
        }
        let answers = endorsements.filter { $0.mediaType == NVIDIARevocation.mediaType }
        var facts = Facts(endorsements: [], from: .min, until: .max)
        for (index, certificate) in chain.dropLast().enumerated() {
            let (answer, statement) = try answer(
                about: certificate, Array(chain[(index + 1)...]), among: answers, root, now)
            facts.endorsements.append(answer)
            facts.from = max(facts.from, statement.from)
            facts.until = min(facts.until, statement.until)
        }
        facts.endorsements += encoded.map { Endorsement(mediaType: subjectType, bytes: $0) }
        return facts
    }

    private static func answer(
        about certificate: Certificate, _ above: [Certificate], among answers: [Endorsement],
        _ root: Certificate, _ now: Int64
    ) throws(Refusal) -> (Endorsement, StatusAnswer.Statement) {
        var reason = "none"
        for answer in answers {
            do throws(KeyError) {
                let statement = try StatusAnswer.statement(
                    of: certificate, issuer: above[0], in: answer.bytes, intermediates: above,
                    anchor: root, now: now)
                if let statement { return (answer, statement) }
            } catch {
                reason = error.description
            }
        }
        throw refusal(
            "collateral.signature", "OCSP answer about \(certificate.subject)",
            "a current one of its issuer", reason)
    }

    /// What this collateral needs in turn: the status of those who signed a manifest.
    public var further: [CollateralNeed] {
        guard case .manifest = need,
            let bytes = endorsements.first?.bytes,
            let manifest = try? ReferenceManifest(bytes, for: .gpu)
        else { return [] }
        return [.status(chain: manifest.certificates.map(\.der))]
    }
}
