internal import Appraisal
internal import Keys
internal import RATS

/// NVIDIA's RIM service: `GET /v1/rim/ID` answers `{"id", "rim": base64, …}` (NVIDIA Attestation
/// Suite, RIM service API).
struct NVIDIASource: CollateralSource {
    let client: CollateralClient

    var name: String { "rim \(client.base.host)" }

    func serves(_ need: CollateralNeed) -> Bool {
        if case .manifest = need { true } else { false }
    }

    func fetch(
        _ need: CollateralNeed, deadline: UInt64
    ) throws(CollateralFailure) -> RawCollateral {
        guard case .manifest(let id, _, _) = need else {
            throw CollateralFailure("\(name) has reference manifests only")
        }
        let answer = try client.get("/v1/rim/\(id)", deadline: deadline)
        guard let document = JSONParser.parse(answer.body), document["id"]?.text == id,
            let manifest = document["rim"]?.text.flatMap({ Base64.decode(Array($0.utf8)) })
        else { throw CollateralFailure("\(name): no manifest \(id) in the answer") }
        return RawCollateral(endorsements: [
            Endorsement(mediaType: EndorsementFolder.manifestType, bytes: manifest)
        ])
    }
}
