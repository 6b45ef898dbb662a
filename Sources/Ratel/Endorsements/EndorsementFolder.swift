internal import Appraisal
internal import FoundationEssentials
internal import Keys
internal import Loop
public import RATS

/// A folder of what others say about this machine, packed as the Endorsements that travel.
///
/// | file | Endorsement |
/// |---|---|
/// | `tcb_info.json`, `qe_identity.json`, `tcb_signing_chain.pem`, `pck_crl.der`, \
/// `root_ca_crl.der` | Intel's collateral, all five as one |
/// | `vcek.der`, `vlek.der`, `ask.der`, `asvk.der`, `ark.der` | AMD's certificates, one each |
/// | `crl.der` | the revocation list of AMD's root |
/// | `*-rim.swidtag.xml` | NVIDIA's reference manifests, one each |
/// | `ocsp*.der` | answers of NVIDIA's OCSP service, one each |
///
/// Other files are left alone: Evidence may lie beside its collateral.
public enum EndorsementFolder {
    /// A reference integrity manifest: SWID (ISO/IEC 19770-2) as XML.
    static let manifestType = "application/swid+xml"
    static let statusType = "application/ocsp-response"

    /// Bytes of one file: half of an evidence frame. NVIDIA's manifests have some 100 KiB,
    /// Intel's largest revocation lists as much.
    private static let maximumFile = 512 * 1024
    /// Manifests of one folder: a driver's and a VBIOS's for each of eight kinds of device.
    private static let maximumManifests = 16
    /// The four of a device and the three of a manifest, for as many.
    private static let maximumAnswers = 112

    private static let collateral = [
        "tcb_info.json", "qe_identity.json", "tcb_signing_chain.pem", "pck_crl.der",
        "root_ca_crl.der",
    ]
    private static let certificates = [
        "vcek.der", "vlek.der", "ask.der", "asvk.der", "ark.der",
    ]

    /// The Endorsements in the folder at `path`, in the order of the table; none if it has none.
    ///
    /// A part of Intel's collateral that is missing is passed on empty, so that whoever appraises
    /// says which one. Errors: a folder or file that cannot be read or is too long.
    public static func read(_ path: String) throws(Refusal) -> [Endorsement] {
        let names: Set<String>
        do {
            names = Set(try FileManager.default.contentsOfDirectory(atPath: path))
        } catch {
            throw refusal("endorsements.folder.unreadable", path, "a folder that can be read")
        }
        return try pack(names, of: path) { (name) throws(Refusal) in try read(path, name) }
    }

    /// The same of files that were read already, by name.
    static func pack(_ files: [String: [UInt8]], of path: String) throws(Refusal) -> [Endorsement] {
        try pack(Set(files.keys), of: path) { (name) throws(Refusal) in files[name] ?? [] }
    }

    private static func pack(
        _ names: Set<String>, of path: String, _ read: (String) throws(Refusal) -> [UInt8]
    ) throws(Refusal) -> [Endorsement] {
        var endorsements: [Endorsement] = []
        func add(_ name: String, _ mediaType: String) throws(Refusal) {
            endorsements.append(Endorsement(mediaType: mediaType, bytes: try read(name)))
        }
        if !names.isDisjoint(with: collateral) {
            var parts: [[UInt8]] = []
            for name in collateral { parts.append(names.contains(name) ? try read(name) : []) }
            endorsements.append(
                DCAPCollateral(
                    tcbInfo: parts[0], qeIdentity: parts[1], tcbSigningChain: parts[2],
                    pckRevocations: parts[3], rootRevocations: parts[4]
                ).endorsement)
        }
        for name in certificates where names.contains(name) {
            try add(name, Endorsement.certificateType)
        }
        if names.contains("crl.der") { try add("crl.der", Endorsement.revocationListType) }
        let manifests = names.filter { $0.hasSuffix("-rim.swidtag.xml") }.sorted()
        guard manifests.count <= maximumManifests else {
            throw refusal(
                "endorsements.count", path, "at most \(maximumManifests) reference manifests")
        }
        for name in manifests { try add(name, manifestType) }
        let answers = names.filter { $0.hasPrefix("ocsp") && $0.hasSuffix(".der") }.sorted()
        guard answers.count <= maximumAnswers else {
            throw refusal("endorsements.count", path, "at most \(maximumAnswers) OCSP answers")
        }
        for name in answers { try add(name, statusType) }
        return endorsements
    }

    private static func read(_ path: String, _ name: String) throws(Refusal) -> [UInt8] {
        let file = path + "/" + name
        guard let bytes = System.readFile(file, limit: maximumFile) else {
            throw refusal(
                "endorsements.file.unreadable", file,
                "a file of at most \(maximumFile) bytes that can be read")
        }
        guard !bytes.isEmpty else {
            throw refusal("endorsements.file.empty", file, "a file with something in it")
        }
        return bytes
    }

    private static func refusal(_ code: String, _ field: String, _ expected: String) -> Refusal {
        Refusal(
            code, .configuration, field: field, expected: expected, got: "another",
            remedy: "check the folder of --endorsements, or fetch the collateral again")
    }
}
