public import Appraisal
internal import FoundationEssentials
internal import Keys
public import RATS
internal import Yams

/// Reads an Appraisal Policy from YAML: appraisal.md, "Policy".
///
/// Everything is refused that is not understood: unknown keys, other types, other versions,
/// missing choices. Errors: `Refusal` at stage `configuration` that names place and line.
public struct PolicyLoader {
    /// The longest policy: some thousand reference values of 100 bytes; more is a mistake.
    public static let maxSize = 1024 * 1024

    private var files: CertificateFiles
    private let now: Int64
    // What the digest covers: the text, then each file that it names, with its length before it.
    private var covered: [UInt8] = []

    /// Reads the policy in the file at `path`; paths inside are relative to its folder.
    public static func load(path: String) throws(Refusal) -> AppraisalPolicy {
        guard let bytes = FileManager.default.contents(atPath: path) else {
            throw Refusal(
                "policy.file.unreadable",
                .configuration,
                field: path,
                expected: "a policy file",
                got: "none that can be read",
                remedy: "check the path and its permissions"
            )
        }
        let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast()
        return try load(bytes: Array(bytes)) { name in
            let inner = name.hasPrefix("/") ? name : (folder + [name[...]]).joined(separator: "/")
            return FileManager.default.contents(atPath: inner).map { Array($0) }
        }
    }

    /// Reads the policy in `bytes`; `read` gives the content of a file that it names, and manifests
    /// of Reference Values have to be valid at the Unix time `now`, that of the clock where nil.
    public static func load(
        bytes: [UInt8],
        now: Int64? = nil,
        read: @escaping (String) -> [UInt8]? = { _ in nil }
    ) throws(Refusal) -> AppraisalPolicy {
        var loader = PolicyLoader(
            now: now ?? Int64(Date().timeIntervalSince1970), read: read)
        return try loader.policy(bytes)
    }

    private init(now: Int64, read: @escaping (String) -> [UInt8]?) {
        files = CertificateFiles(read: read)
        self.now = now
    }

    private mutating func policy(_ bytes: [UInt8]) throws(Refusal) -> AppraisalPolicy {
        cover(bytes)
        let written = try PolicyNode.read(bytes, as: .policy, maxSize: PolicyLoader.maxSize)
        let root = try ReferenceFiles(now: now).expand(written, &files)
        let fields = try root.fields(
            required: ["version", "peers"], optional: ["mode", "on_change", "long_answers"])
        _ = try fields["version"]?.integer(1...1)
        let mode = try fields["mode"]?.word(AppraisalPolicy.Mode.self) ?? .enforce
        guard let peers = fields["peers"] else { throw root.wrongType("peers") }
        let admitted = try self.peers(peers)
        for file in files.filesRead { cover(file) }
        return AppraisalPolicy(
            mode: mode, peers: admitted, digest: Digest.sha384(covered),
            onChange: try fields["on_change"]?.word(AppraisalPolicy.OnChange.self) ?? .drain,
            longAnswers: try fields["long_answers"]?.word(AppraisalPolicy.LongAnswers.self) ?? .cut)
    }

    private mutating func peers(_ node: PolicyNode) throws(Refusal) -> AppraisalPolicy.Peers {
        if case .scalar(let scalar) = node.node {
            guard scalar.string == "anonymous" else {
                throw node.wrongType("a list of peers, or the word anonymous")
            }
            return .anonymous
        }
        var peers: [PeerPolicy] = []
        for item in try node.items() {
            let peer = try peer(item)
            guard !peers.contains(where: { $0.name == peer.name }) else {
                throw item.refusal(
                    "policy.peer.duplicate",
                    expected: "one name each",
                    got: peer.name
                )
            }
            peers.append(peer)
        }
        return .appraised(peers)
    }

    private mutating func peer(_ node: PolicyNode) throws(Refusal) -> PeerPolicy {
        let fields = try node.fields(
            required: ["name"],
            optional: [
                "tier", "max_age", "require", "tpm", "tdx", "sgx", "snp", "nitro", "cca",
                "nvidia_gpu", "nvidia_switch", "result", "simulated", "configuration",
            ]
        )
        let tier = try fields["tier"]?.word(PeerPolicy.Tier.self) ?? .session
        let simulated = try fields["simulated"]?.flag() ?? false
        let require = try self.require(
            fields["require"], simulated: simulated, tier, of: node)
        let tpm = try fields["tpm"].map { node throws(Refusal) in
            try TPMSection(node: node).policy(&files)
        }
        let tdx = try fields["tdx"].map { node throws(Refusal) in
            try DCAPSection(node: node).tdx(&files)
        }
        let sgx = try fields["sgx"].map { node throws(Refusal) in
            try DCAPSection(node: node).sgx(&files)
        }
        let snp = try fields["snp"].map { node throws(Refusal) in
            try SNPSection(node: node).policy(&files)
        }
        let nitro = try fields["nitro"].map { node throws(Refusal) in
            try NitroSection(node: node).policy(&files)
        }
        let cca = try fields["cca"].map { node throws(Refusal) in
            try CCASection(node: node).policy()
        }
        let gpu = try fields["nvidia_gpu"].map { node throws(Refusal) in
            try NVIDIASection(node: node).gpu(&files)
        }
        let nvswitch = try fields["nvidia_switch"].map { node throws(Refusal) in
            try NVIDIASection(node: node).nvswitch(&files)
        }
        let result = try fields["result"].map { node throws(Refusal) in
            try ResultSection(node: node).policy(&files)
        }
        for format in EvidenceFormat.allCases
        where format != .simulated && (require[format] ?? 0 > 0) != (fields[format.rawValue] != nil)
        {
            throw node.refusal(
                "policy.peer.incomplete",
                expected: "both `require: {\(format): 1}` and a section `\(format)`",
                got: "one of them",
                remedy: "write both, or neither"
            )
        }
        return PeerPolicy(
            name: try PolicyLoader.name(fields["name"]),
            tier: tier,
            maxAge: try PolicyLoader.maxAge(fields["max_age"]),
            require: require,
            tpm: tpm,
            tdx: tdx,
            sgx: sgx,
            snp: snp,
            nitro: nitro,
            cca: cca,
            nvidiaGPU: gpu,
            nvidiaSwitch: nvswitch,
            result: result,
            simulated: simulated,
            configuration: try PolicyLoader.constraints(fields["configuration"])
        )
    }

    // What cannot be renewed would end connections whose streams wanted to go on.
    private static func maxAge(_ node: PolicyNode?) throws(Refusal) -> UInt32 {
        guard let node else { return PeerPolicy.defaultMaxAge }
        let age = try node.seconds()
        let shortest = PeerPolicy.shortestRenewable
        guard age == 0 || age >= shortest else {
            throw node.refusal(
                node.code("max_age.short"),
                expected: "\(shortest)s or more, or 0s for Evidence on every connection",
                got: "\(age)s",
                remedy:
                    "write \(shortest)s: an open connection is asked again once in 10 s at most, "
                    + "and so a shorter age cannot be renewed"
            )
        }
        return age
    }

    private func require(
        _ node: PolicyNode?,
        simulated: Bool,
        _ tier: PeerPolicy.Tier,
        of peer: PolicyNode
    ) throws(Refusal) -> [EvidenceFormat: Int] {
        var require: [EvidenceFormat: Int] = [:]
        let names = EvidenceFormat.allCases.map(\.rawValue)
        for (name, count) in try node?.fields(required: [], optional: names) ?? [:] {
            guard let format = EvidenceFormat(rawValue: name) else { continue }
            // Sixteen GPUs and sixteen switches are more than any machine has; of the other
            // formats, none has more than one.
            let limit: UInt64 = format.kind == .gpu ? 16 : 1
            require[format] = Int(try count.integer(1...limit))
        }
        if simulated, require.isEmpty { require[.simulated] = 1 }
        guard !require.isEmpty else {
            throw peer.refusal(
                "policy.peer.incomplete",
                expected: "what the peer must present",
                got: "nothing",
                remedy: "write `require: {tpm: 1}`, or for tests only `simulated: true`"
            )
        }
        let devices = require.keys.filter { $0.kind == .gpu }.count
        let hasMachine = devices < require.count || tier == .none
        guard hasMachine, devices == 0 || require[.nvidiaGPU] != nil || tier == .none else {
            throw peer.refusal(
                "policy.peer.incomplete",
                expected: "what the machine itself must present, and GPUs with switches",
                got: "devices alone",
                remedy: "write the CPU's or the TPM's format too, or `tier: none` for files only"
            )
        }
        guard require[.result] == nil || tier == .none else {
            throw peer.refusal(
                "policy.peer.incomplete",
                expected: "Evidence of the peer itself, or `tier: none`",
                got: "another Verifier's result",
                remedy: "write `tier: none`: such tokens are appraised as files"
            )
        }
        guard (require[.simulated] != nil) == simulated else {
            throw peer.refusal(
                "policy.peer.incomplete",
                expected: "`simulated: true` to go with it",
                got: "require: {simulated: 1} alone, or without it",
                remedy: "write both, for tests only"
            )
        }
        return require
    }

    private static func name(_ node: PolicyNode?) throws(Refusal) -> String {
        // It becomes a header value and a metric label.
        try node?.name() ?? ""
    }

    private static func constraints(
        _ node: PolicyNode?
    ) throws(Refusal) -> [ConfigurationConstraint] {
        var constraints: [ConfigurationConstraint] = []
        for (path, values) in try node?.entries() ?? [] {
            var allowed: [JSONValue] = []
            for value in try values.items() { allowed.append(try value.json()) }
            let names = path.split(separator: ".", omittingEmptySubsequences: false)
            constraints.append(
                ConfigurationConstraint(path: names.map(String.init), allowed: allowed)
            )
        }
        return constraints
    }

    private mutating func cover(_ bytes: [UInt8]) {
        for place in stride(from: 56, through: 0, by: -8) {
            covered.append(UInt8(truncatingIfNeeded: bytes.count >> place))
        }
        covered += bytes
    }
}
