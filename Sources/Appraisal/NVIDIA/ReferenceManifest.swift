internal import Keys
internal import RATS

/// A reference integrity manifest of NVIDIA: a SWID tag (ISO/IEC 19770-2:2015) in the profile of
/// the TCG's PC Client RIM Information Model 1.01, signed as a whole.
///
/// One says what the measurements of one version of a driver, VBIOS or NVSwitch BIOS are.
struct ReferenceManifest: Sendable {
    /// The media type of an Endorsement that is one.
    static let mediaType = "application/swid+xml"

    private static let tag = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
    private static let hash = "http://www.w3.org/2001/04/xmlenc#sha384"
    private static let tcg =
        "https://trustedcomputinggroup.org/resource/"
        + "tcg-reference-integrity-manifest-rim-information-model/"
    /// What an element of `Payload` may say of itself; another attribute may change its meaning.
    private static let attributes: Set<String> = [
        "type", "index", "active", "alternatives", "name", "size",
    ]

    /// The chip, such as `GH100`.
    let product: String
    /// The version that it is of, as reports write it.
    let version: String
    /// The values that are right, by index from 0: those that are active.
    let active: [Int: [[UInt8]]]
    /// The signer's chain; `checkTrust` says whether it is NVIDIA's.
    let certificates: [Certificate]

    /// Reads a document, and checks that it is signed by the first of its certificates.
    init(_ bytes: [UInt8], for device: NVIDIADevice) throws(Refusal) {
        let signed: SignedXML
        do throws(KeyError) {
            signed = try SignedXML(bytes)
        } catch {
            let code = error.reason == .signature ? "rim.signature" : "rim.malformed"
            throw device.refusal(
                code, .evidence, "reference manifest", "a SWID tag that its signer signed",
                error.description, "fetch the manifest from NVIDIA's RIM service again")
        }
        certificates = signed.certificates
        let root = signed.root
        let metas = root.children("Meta")
        let payloads = root.children("Payload")
        guard root.name == "SoftwareIdentity", root.namespace == ReferenceManifest.tag,
            metas.count == 1, payloads.count == 1,
            metas[0].attribute("BindingSpec", namespace: ReferenceManifest.tcg) == "RIMIM",
            metas[0].attribute("PayloadType") == "direct",
            let product = metas[0].attribute("product"), !product.isEmpty,
            let version = metas[0].attribute("colloquialVersion"), !version.isEmpty
        else { throw ReferenceManifest.malformed(device, "one Meta and one Payload, direct") }
        self.product = product
        self.version = version
        var active: [Int: [[UInt8]]] = [:]
        var seen: Set<Int> = []
        for resource in payloads[0].children {
            let entry = try ReferenceManifest.entry(resource, device)
            guard seen.insert(entry.index).inserted else {
                throw ReferenceManifest.malformed(device, "each index once")
            }
            if entry.isActive { active[entry.index] = entry.values }
        }
        self.active = active
    }

    private static func entry(
        _ resource: XMLElement,
        _ device: NVIDIADevice
    ) throws(Refusal) -> (index: Int, isActive: Bool, values: [[UInt8]]) {
        let names = resource.attributes.filter(\.namespace.isEmpty).map(\.name)
        let hashes = resource.attributes.filter { !$0.namespace.isEmpty }
        guard resource.name == "Resource", resource.namespace == tag, resource.children.isEmpty,
            resource.attribute("type") == "Measurement", Set(names) == attributes,
            let index = resource.attribute("index").flatMap({ Int($0) }), (0..<255).contains(index),
            let active = resource.attribute("active"), ["True", "False"].contains(active),
            resource.attribute("size") == "48",
            resource.attribute("alternatives") == "\(hashes.count)", !hashes.isEmpty
        else { throw malformed(device, "a measurement with an index, active or not") }
        var values: [[UInt8]] = []
        for place in hashes.indices {
            guard let digits = resource.attribute("Hash\(place)", namespace: hash),
                let value = Hex.decode(digits), value.count == 48
            else { throw malformed(device, "Hash0 and up, SHA-384 each") }
            values.append(value)
        }
        return (index, active == "True", values)
    }

    /// Whether the signer's certificates lead to a pinned root, valid at the Unix time `now`.
    func checkTrust(
        _ roots: [[UInt8]],
        now: Int64,
        for device: NVIDIADevice
    ) throws(Refusal) {
        guard let root = certificates.last, roots.contains(Digest.sha256(root.spki)) else {
            throw device.refusal(
                "rim.root.unknown", .evidence, "root of the manifest's signer",
                roots.map(Hex.encode).joined(separator: " or "),
                certificates.last.map { Hex.encode(Digest.sha256($0.spki)) } ?? "none",
                "fetch the manifest from NVIDIA's RIM service again")
        }
        do throws(KeyError) {
            guard certificates.count > 1, !certificates[0].isAuthority else {
                throw KeyError(.chain, "an authority, not a signer of manifests")
            }
            try CertificateChain.validate(
                certificates[0],
                intermediates: Array(certificates.dropFirst().dropLast()),
                anchors: [root],
                now: now
            )
        } catch {
            throw device.refusal(
                "rim.chain.invalid", .evidence, "certificates of the manifest's signer",
                "a chain to NVIDIA's root, valid now", error.description,
                "fetch the manifest from NVIDIA's RIM service again")
        }
    }

    private static func malformed(_ device: NVIDIADevice, _ expected: String) -> Refusal {
        device.refusal(
            "rim.malformed", .evidence, "reference manifest", expected, "another",
            "fetch the manifest from NVIDIA's RIM service again, or update this side")
    }
}
