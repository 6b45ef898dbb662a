internal import Appraisal
internal import Keys
internal import RATS
internal import Yams

/// The section `snp` of a peer in a policy; every key but `roots` must be there.
///
/// ```yaml
/// snp:
///   products:                      # milan only if it is written here
///     genoa: any                   # or the least TCB for each of:
///     turin: {current: {fmc: 0, bootloader: 1, tee: 0, snp: 2, microcode: 71},
///             committed: any, reported: any, launch: any}
///   measurement: ["96 hex digits"]
///   host_data: any
///   id_key_digest: any
///   author_key_digest: any
///   chip_id: any
///   guest_svn: any                 # or {at_least: 5}
///   vmpl: [0]
///   abi: any                       # or {at_least: "1.55"}
///   features: {smt: any, cxl: refused, single_socket: any, aes_xts: any, rapl_disabled: any,
///              ciphertext_hiding: any, page_swap_disabled: any, alias_check: required}
///   vlek: refused                  # or any, or the providers: ["CN=…"]
///   revocation: required           # or any
///   provisional_firmware: refused  # or any
///   # roots: {genoa: [ark.pem]}    # in place of AMD's, of which then none is trusted
/// ```
struct SNPSection {
    let node: PolicyNode

    func policy(_ files: inout CertificateFiles) throws(Refusal) -> SNPPolicy {
        let names = [
            "products", "measurement", "host_data", "id_key_digest", "author_key_digest",
            "chip_id", "guest_svn", "vmpl", "abi", "features", "vlek", "revocation",
            "provisional_firmware",
        ]
        let fields = try node.fields(required: names, optional: ["roots"])
        let products = try products(fields["products"])
        let provisional = try fields["provisional_firmware"]?.word(SNPPolicy.Weakening.self)
        return SNPPolicy(
            products: products,
            identity: SNPPolicy.Identity(
                measurement: try reference(fields["measurement"], 48),
                hostData: try reference(fields["host_data"], 32),
                idKeyDigest: try reference(fields["id_key_digest"], 48),
                authorKeyDigest: try reference(fields["author_key_digest"], 48),
                chipID: try reference(fields["chip_id"], 64),
                guestSVN: try least(fields["guest_svn"]) { node throws(Refusal) in
                    UInt32(try node.integer(0...UInt64(UInt32.max)))
                },
                vmpl: try levels(fields["vmpl"])
            ),
            features: try features(fields["features"]),
            abi: try least(fields["abi"]) { node throws(Refusal) in try version(node) },
            loadedKey: try loadedKey(fields["vlek"]),
            revocation: try fields["revocation"]?.word(SNPPolicy.Hardening.self) ?? .required,
            allowsProvisionalFirmware: provisional == .any,
            roots: try roots(fields["roots"], of: products.keys.map(\.rawValue), &files)
        )
    }

    private func products(
        _ node: PolicyNode?
    ) throws(Refusal) -> [SNPProduct: SNPPolicy.Floors] {
        var products: [SNPProduct: SNPPolicy.Floors] = [:]
        let names = SNPProduct.allCases.map(\.rawValue)
        for (name, value) in try node?.fields(required: [], optional: names) ?? [:] {
            guard let product = SNPProduct(rawValue: name) else { continue }
            products[product] = try floors(value, of: product)
        }
        guard !products.isEmpty else {
            throw self.node.refusal(
                "policy.snp.products",
                expected: "at least one product",
                got: "none",
                remedy: "list the products that are good, each with its floors or `any`"
            )
        }
        return products
    }

    private func roots(
        _ node: PolicyNode?, of products: [String], _ files: inout CertificateFiles
    ) throws(Refusal) -> [SNPProduct: [[UInt8]]] {
        guard let node else { return SNPRoots.amd }
        var roots: [SNPProduct: [[UInt8]]] = [:]
        // A product without a root would be refused one by one: it is told at once.
        for (name, value) in try node.fields(required: products.sorted()) {
            guard let product = SNPProduct(rawValue: name) else { continue }
            roots[product] = try files.roots(value).map { Digest.sha256($0.spki) }
        }
        return roots
    }

    private func floors(
        _ node: PolicyNode,
        of product: SNPProduct
    ) throws(Refusal) -> SNPPolicy.Floors {
        if node.isAny { return .init(current: .any, committed: .any, reported: .any, launch: .any) }
        let fields = try node.fields(required: ["current", "committed", "reported", "launch"])
        return SNPPolicy.Floors(
            current: try floor(fields["current"], of: product),
            committed: try floor(fields["committed"], of: product),
            reported: try floor(fields["reported"], of: product),
            launch: try floor(fields["launch"], of: product)
        )
    }

    private func floor(
        _ node: PolicyNode?,
        of product: SNPProduct
    ) throws(Refusal) -> SNPPolicy.Floor {
        guard let node else { throw self.node.wrongType("a floor") }
        if node.isAny { return .any }
        let parts = ["bootloader", "tee", "snp", "microcode"]
        let fields = try node.fields(required: product == .turin ? ["fmc"] + parts : parts)
        var values: [String: UInt8] = [:]
        for (name, value) in fields { values[name] = UInt8(try value.integer(0...255)) }
        return .atLeast(
            SNPTCB(
                fmc: values["fmc"],
                bootloader: values["bootloader", default: .max],
                tee: values["tee", default: .max],
                snp: values["snp", default: .max],
                microcode: values["microcode", default: .max]
            )
        )
    }

    private func features(_ node: PolicyNode?) throws(Refusal) -> SNPPolicy.Features {
        let fields =
            try node?.fields(required: [
                "smt", "cxl", "single_socket", "aes_xts", "rapl_disabled", "ciphertext_hiding",
                "page_swap_disabled", "alias_check",
            ]) ?? [:]
        func hard(_ name: String) throws(Refusal) -> SNPPolicy.Hardening {
            try fields[name]?.word(SNPPolicy.Hardening.self) ?? .required
        }
        func weak(_ name: String) throws(Refusal) -> SNPPolicy.Weakening {
            try fields[name]?.word(SNPPolicy.Weakening.self) ?? .refused
        }
        return SNPPolicy.Features(
            smt: try weak("smt"),
            cxl: try weak("cxl"),
            singleSocket: try hard("single_socket"),
            aesXTS: try hard("aes_xts"),
            raplDisabled: try hard("rapl_disabled"),
            ciphertextHiding: try hard("ciphertext_hiding"),
            pageSwapDisabled: try hard("page_swap_disabled"),
            aliasCheck: try hard("alias_check")
        )
    }

    private func reference(_ node: PolicyNode?, _ size: Int) throws(Refusal) -> ReferenceValue {
        try node?.reference([size]) ?? .oneOf([])
    }

    private func least(
        _ node: PolicyNode?,
        _ read: (PolicyNode) throws(Refusal) -> UInt32
    ) throws(Refusal) -> SNPPolicy.Least {
        guard let node else { return .atLeast(.max) }
        if node.isAny { return .any }
        guard let inner = try node.fields(required: ["at_least"])["at_least"] else {
            return .atLeast(.max)
        }
        return .atLeast(try read(inner))
    }

    // "major.minor", each of one byte.
    private func version(_ node: PolicyNode) throws(Refusal) -> UInt32 {
        let text = try node.text()
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        guard parts.count == 2, let major = parts[0], let minor = parts[1] else {
            throw node.refusal(
                "policy.value.refused", expected: "a version such as \"1.55\"", got: text)
        }
        return UInt32(major) << 8 | UInt32(minor)
    }

    private func levels(_ node: PolicyNode?) throws(Refusal) -> [UInt64] {
        var levels: [UInt64] = []
        for item in try node?.items() ?? [] { levels.append(try item.integer(0...3)) }
        return levels
    }

    private func loadedKey(_ node: PolicyNode?) throws(Refusal) -> SNPPolicy.LoadedKey {
        guard let node else { return .refused }
        if node.node.scalar != nil {
            return try node.word(SNPPolicy.Weakening.self) == .any ? .any : .refused
        }
        var names: [String] = []
        for item in try node.items() { names.append(try item.text()) }
        return .oneOf(names)
    }
}
