internal import Appraisal
internal import Keys
internal import RATS

/// NVIDIA's OCSP service: one `POST` for each certificate of a chain (RFC 6960, appendix A.1).
struct OCSPSource: CollateralSource {
    let client: CollateralClient

    var name: String { "ocsp \(client.base.host)" }

    func serves(_ need: CollateralNeed) -> Bool {
        if case .status = need { true } else { false }
    }

    func fetch(
        _ need: CollateralNeed, deadline: UInt64
    ) throws(CollateralFailure) -> RawCollateral {
        guard case .status(let encoded) = need else {
            throw CollateralFailure("\(name) answers about certificates only")
        }
        var endorsements: [Endorsement] = []
        for (der, issuer) in zip(encoded, encoded.dropFirst()) {
            guard let certificate = try? Certificate.read(der: der),
                let authority = try? Certificate.read(der: issuer),
                let question = try? StatusAnswer.question(about: certificate, issuer: authority)
            else { throw CollateralFailure("\(name): no certificate to ask about") }
            let answer = try client.post(
                "/", question, type: "application/ocsp-request", deadline: deadline)
            endorsements.append(
                Endorsement(mediaType: EndorsementFolder.statusType, bytes: answer.body))
        }
        return RawCollateral(endorsements: endorsements)
    }
}
