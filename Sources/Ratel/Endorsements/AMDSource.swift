internal import Appraisal
internal import Keys
internal import RATS

/// AMD's Key Distribution Service: VCEK Certificate and KDS Interface Specification (AMD 57230),
/// section 4.
struct AMDSource: CollateralSource {
    let client: CollateralClient

    var name: String { "kds \(client.base.host)" }

    func serves(_ need: CollateralNeed) -> Bool {
        switch need {
        case .amd, .vcek: true
        case .dcap, .manifest, .status: false
        }
    }

    func fetch(
        _ need: CollateralNeed, deadline: UInt64
    ) throws(CollateralFailure) -> RawCollateral {
        switch need {
        case .dcap, .manifest, .status:
            throw CollateralFailure("\(name) has AMD's certificates only")
        case .amd(let product, let isLoaded):
            let base = "/\(isLoaded ? "vlek" : "vcek")/v1/\(product.vendorName)"
            let chain = try client.get("\(base)/cert_chain", deadline: deadline).body
            let list = try client.get("\(base)/crl", deadline: deadline).body
            guard
                let certificates = try? Certificate.read(
                    pem: String(decoding: chain, as: UTF8.self))
            else { throw CollateralFailure("\(name)\(base)/cert_chain: not PEM") }
            return RawCollateral(
                endorsements: certificates.map {
                    Endorsement(mediaType: Endorsement.certificateType, bytes: $0.der)
                } + [Endorsement(mediaType: Endorsement.revocationListType, bytes: list)])
        case .vcek(let product, let chip, let tcb):
            var query =
                "blSPL=\(AMDSource.padded(tcb.bootloader))&teeSPL=\(AMDSource.padded(tcb.tee))"
                + "&snpSPL=\(AMDSource.padded(tcb.snp))&ucodeSPL=\(AMDSource.padded(tcb.microcode))"
            if let fmc = tcb.fmc { query = "fmcSPL=\(AMDSource.padded(fmc))&" + query }
            let path = "/vcek/v1/\(product.vendorName)/\(Hex.encode(chip))?\(query)"
            let body = try client.get(path, deadline: deadline).body
            return RawCollateral(endorsements: [
                Endorsement(mediaType: Endorsement.certificateType, bytes: body)
            ])
        }
    }

    // Two digits at least, as in every example of the specification.
    private static func padded(_ value: UInt8) -> String { value < 10 ? "0\(value)" : "\(value)" }
}
