internal import Appraisal
internal import Keys
internal import Loop
internal import RATS

/// Writes checked collateral as files under the names that `EndorsementFolder` reads.
enum CollateralFiles {
    /// Makes `FOLDER/<need>/…`; throws when the disk does not take it.
    static func write(_ item: CheckedCollateral, under folder: String) throws(UnusableInput) {
        let path = folder + "/" + item.need.fileName
        guard System.makeDirectories(path) else {
            throw UnusableInput("\(path): cannot be made")
        }
        for (name, bytes) in files(item) {
            guard System.replaceFile(path + "/" + name, bytes) else {
                throw UnusableInput("\(path)/\(name): cannot be written")
            }
        }
    }

    /// Names and contents; of several items, each has names of its own.
    static func files(_ item: CheckedCollateral) -> [(String, [UInt8])] {
        if let collateral = try? DCAPCollateral(in: item.endorsements) {
            return [
                ("tcb_info.json", collateral.tcbInfo),
                ("qe_identity.json", collateral.qeIdentity),
                ("tcb_signing_chain.pem", collateral.tcbSigningChain),
                ("pck_crl.der", collateral.pckRevocations),
                ("root_ca_crl.der", collateral.rootRevocations),
            ]
        }
        let name = item.need.fileName
        if case .status = item.need {
            let answers = item.endorsements.filter {
                $0.mediaType == EndorsementFolder.statusType
            }
            return answers.enumerated().map { ("\(name)-\($0).der", $1.bytes) }
        }
        return item.endorsements.map { endorsement in
            if endorsement.mediaType == EndorsementFolder.manifestType {
                return ("\(name)-rim.swidtag.xml", endorsement.bytes)
            }
            guard endorsement.mediaType == Endorsement.certificateType,
                let certificate = try? Certificate(der: endorsement.bytes)
            else { return ("crl.der", endorsement.bytes) }
            if certificate.isSelfSigned { return ("ark.der", endorsement.bytes) }
            guard certificate.isAuthority else { return ("vcek.der", endorsement.bytes) }
            let isLoaded = certificate.subject.contains("SEV-VLEK-")
            return (isLoaded ? "asvk.der" : "ask.der", endorsement.bytes)
        }
    }
}
