internal import Keys
internal import RATS

/// Tinfoil's attestation document (tinfoil-go, `verifier/attestation`).
///
/// Version 2: `{"format", "body": base64(gzip(report))}`, report_data = SHA-256(SPKI) ‖ the HPKE
/// key. Version 3: report_data = SHA-256("https://tinfoil.sh/report-data/v1" ‖ nonce ‖
/// SHA-256(crypto_material) ‖ SHA-256(device_evidence)) ‖ 0^32, over both sections as they were
/// sent, and in the first the hash of the key.
enum TinfoilDocument {
    private static let base = "https://tinfoil.sh/"
    private static let version2 = [
        base + "predicate/sev-snp-guest/v2": EvidenceFormat.snp,
        base + "predicate/tdx-guest/v2": .tdx,
    ]
    private static let version3 = base + "predicate/attestation/v3"
    private static let evidence = [
        base + "format/sev-snp-report/v1": EvidenceFormat.snp,
        base + "format/tdx-quote/v1": .tdx,
    ]
    private static let gpu = base + "format/nvidia-gpu-evidence/v1"
    private static let algorithm = base + "report-data/v1"
    private static let place = "/.well-known/tinfoil-attestation"
    /// Bytes of a report: a quote has up to 16 KiB.
    private static let maximumReport = DCAPQuote.maximumSize

    static func read(
        _ document: JSONValue, nonce: [UInt8], certificate: Certificate
    ) throws(Refusal) -> CarriedEvidence? {
        guard let format = document["format"]?.text, format.hasPrefix(base) else { return nil }
        if let kind = version2[format] { return try older(document, kind, certificate) }
        guard format == version3 else {
            throw AttestationEndpoint.refusal(
                .tinfoil3, "malformed", "format",
                (version2.keys.sorted() + [version3]).joined(separator: " or "), format)
        }
        return try newer(document, nonce, certificate)
    }

    private static func older(
        _ document: JSONValue, _ kind: EvidenceFormat, _ certificate: Certificate
    ) throws(Refusal) -> CarriedEvidence {
        guard let packed = bytes(document["body"]),
            let report = Gzip.decompress(packed, limit: maximumReport)
        else {
            throw AttestationEndpoint.malformed(.tinfoil2, "body", "a report in base64 and gzip")
        }
        let piece = try piece(report, kind, [])
        // What stands behind the key's hash is the HPKE key: another, for bodies of requests.
        let rest = Array(piece.covered.dropFirst(32))
        let formula = CarriedEvidence.Formula(
            "SHA-256(SubjectPublicKeyInfo) ‖ HPKE key", Digest.sha256(certificate.spki) + rest)
        var carried = try CarriedEvidence(
            .tinfoil2, place, piece, [formula], code: "endpoint.binding.key")
        carried.events.set("hpke_key", .bytes(rest))
        carried.gaps = ["freshness: version 2 covers no nonce"]
        return carried
    }

    private static func newer(
        _ document: JSONValue, _ nonce: [UInt8], _ certificate: Certificate
    ) throws(Refusal) -> CarriedEvidence {
        guard let challenge = document["challenge"], let cpu = document["cpu_evidence"],
            let kind = cpu["format"]?.text.flatMap({ evidence[$0] }),
            let report = bytes(cpu["report_base64"]),
            let material = bytes(document["crypto_material"]),
            let devices = bytes(document["device_evidence"]),
            challenge["report_data_algorithm"]?.text == algorithm
        else {
            throw AttestationEndpoint.malformed(
                .tinfoil3, "document", "challenge, cpu_evidence and both sections")
        }
        guard let said = challenge["nonce"]?.text.flatMap(Hex.decode),
            ConstantTime.equal(said, nonce)
        else {
            throw AttestationEndpoint.refusal(
                .tinfoil3, "nonce", "challenge.nonce", Hex.encode(nonce),
                challenge["nonce"]?.text ?? "none")
        }
        try checkKey(material, certificate)
        let listed = try listedDevices(devices)
        let covered = Digest.sha256(
            Array(algorithm.utf8) + nonce + Digest.sha256(material) + Digest.sha256(devices))
        var carried = try CarriedEvidence(
            .tinfoil3, place, try piece(report, kind, certificates(document)),
            [.init("SHA-256(nonce, crypto_material, device_evidence)", covered)],
            code: "endpoint.binding.key")
        let others = listed.filter { $0["format"]?.text != gpu }
        if !others.isEmpty {
            carried.gaps = ["devices: \(others.count) are of no kind that is read here"]
        }
        let gpus = listed.filter { $0["format"]?.text == gpu }.map { $0["evidence"] ?? .null }
        return carried.with(
            try ForeignDevices.evidence(gpus, nonce: nonce, in: .tinfoil3), nonce: nonce)
    }

    // `{"format", "items": [{"id": "tls", "format", "data": hex}, …]}`
    private static func checkKey(
        _ material: [UInt8], _ certificate: Certificate
    ) throws(Refusal) {
        guard let section = JSONParser.parse(material),
            section["format"]?.text == base + "crypto-material/v1",
            let items = section["items"]?.items
        else { throw AttestationEndpoint.malformed(.tinfoil3, "crypto_material", "keys") }
        let keys = items.filter { $0["id"]?.text == "tls" }
        guard keys.count == 1, keys[0]["format"]?.text == base + "key/spki-fp-sha256/v1",
            let found = keys[0]["data"]?.text.flatMap(Hex.decode)
        else { throw AttestationEndpoint.malformed(.tinfoil3, "crypto_material", "one TLS key") }
        let expected = Digest.sha256(certificate.spki)
        guard ConstantTime.equal(found, expected) else {
            throw AttestationEndpoint.refusal(
                .tinfoil3, "binding.key", "crypto_material tls", Hex.encode(expected),
                Hex.encode(found))
        }
    }

    // `{"format", "items": [{"id", "kind", "vendor", "format", "evidence"}, …]}`
    private static func listedDevices(_ section: [UInt8]) throws(Refusal) -> [JSONValue] {
        guard let section = JSONParser.parse(section),
            section["format"]?.text == base + "device-evidence/v1",
            let items = section["items"]?.items
        else { throw AttestationEndpoint.malformed(.tinfoil3, "device_evidence", "devices") }
        return items
    }

    // AMD's key certificate lies beside; each is authenticated by its own chain.
    private static func certificates(_ document: JSONValue) -> [[UInt8]] {
        (document["collateral"]?.items ?? []).flatMap { entry -> [[UInt8]] in
            guard entry["format"]?.text == base + "collateral/amd-vcek/v1",
                let data = entry["data"], let leaf = bytes(data["vcek_der_base64"])
            else { return [] }
            let chain = data["cert_chain_pem"]?.text.flatMap {
                try? Certificate.read(pem: $0, limit: 4).map(\.der)
            }
            return [leaf] + (chain ?? [])
        }
    }

    private static func piece(
        _ report: [UInt8], _ kind: EvidenceFormat, _ certificates: [[UInt8]]
    ) throws(Refusal) -> ForeignPiece {
        kind == .snp
            ? try ForeignPiece(
                report: report,
                certificates: Array(certificates.prefix(SNPEvidence.maxCertificates)))
            : try ForeignPiece(quote: report)
    }

    private static func bytes(_ value: JSONValue?) -> [UInt8]? {
        value?.text.flatMap { Base64.decode(Array($0.utf8)) }
    }
}
