internal import Keys
internal import RATS

/// Intel's TCB info, version 3: which component versions have which status.
struct TCBInfo: Sendable {
    struct Level: Sendable {
        let sgx: [Int]
        let tdx: [Int]
        /// Category and type of each component as Intel describes it; empty where it does not.
        let sgxNames: [String]
        let tdxNames: [String]
        /// `tcbDate`: the advisories known by then are met.
        let date: String?
        let pceSVN: Int
        let status: TCBStatus
        let advisories: [String]
    }

    struct Module: Sendable {
        let identifier: String
        let mrSigner: [UInt8]
        let attributes: [UInt8]
        let attributesMask: [UInt8]
        let levels: [SVNLevel]
    }

    let identifier: String
    let fmspc: [UInt8]
    let pceID: [UInt8]
    let evaluation: Int
    let levels: [Level]
    /// `tdxModule`, for module version 0.
    let firstModule: Module?
    let modules: [Module]

    // As many as there are documents.
    private static let kept: Remembered<TCBInfo> = VerificationMemory.memory(capacity: 64)

    /// What a signed document says, read now or earlier.
    static func read(_ document: SignedDocument) throws(Refusal) -> TCBInfo {
        if let known = kept.value(document.digest) { return known }
        let info = try TCBInfo(document)
        kept.keep(info, for: document.digest)
        return info
    }

    init(_ document: SignedDocument) throws(Refusal) {
        let value = document.value
        guard let identifier = value["id"]?.text, value["version"]?.integer == 3,
            let fmspc = value["fmspc"]?.text.flatMap(Hex.decode),
            let pceID = value["pceId"]?.text.flatMap(Hex.decode),
            let evaluation = value["tcbEvaluationDataNumber"]?.integer,
            let items = value["tcbLevels"]?.items
        else { throw TCBInfo.malformed("version 3 of TCB info") }
        self.identifier = identifier
        self.fmspc = fmspc
        self.pceID = pceID
        self.evaluation = evaluation
        var levels: [Level] = []
        for item in items { levels.append(try TCBInfo.level(item)) }
        self.levels = levels
        firstModule = try value["tdxModule"].map { (value) throws(Refusal) in
            try TCBInfo.module(value)
        }
        var modules: [Module] = []
        for item in value["tdxModuleIdentities"]?.items ?? [] {
            modules.append(try TCBInfo.module(item))
        }
        self.modules = modules
    }

    private static func level(_ item: JSONValue) throws(Refusal) -> Level {
        guard let tcb = item["tcb"], let pceSVN = tcb["pcesvn"]?.integer,
            let sgx = components(tcb["sgxtcbcomponents"]), sgx.count == 16,
            let status = item["tcbStatus"]?.text.flatMap(TCBStatus.init)
        else { throw malformed("a TCB level") }
        let tdx = components(tcb["tdxtcbcomponents"]) ?? []
        guard tdx.isEmpty || tdx.count == 16 else { throw malformed("16 TDX components") }
        return Level(
            sgx: sgx, tdx: tdx, sgxNames: names(tcb["sgxtcbcomponents"]),
            tdxNames: names(tcb["tdxtcbcomponents"]), date: item["tcbDate"]?.text,
            pceSVN: pceSVN, status: status, advisories: advisories(item))
    }

    private static func components(_ value: JSONValue?) -> [Int]? {
        guard let items = value?.items else { return nil }
        let numbers = items.compactMap { $0["svn"]?.integer }
        return numbers.count == items.count ? numbers : nil
    }

    private static func names(_ value: JSONValue?) -> [String] {
        (value?.items ?? []).map { item in
            [item["category"]?.text, item["type"]?.text].compactMap(\.self)
                .filter { !$0.isEmpty }.joined(separator: ", ")
        }
    }

    private static func module(_ value: JSONValue) throws(Refusal) -> Module {
        guard let mrSigner = value["mrsigner"]?.text.flatMap(Hex.decode), mrSigner.count == 48,
            let attributes = value["attributes"]?.text.flatMap(Hex.decode), attributes.count == 8,
            let mask = value["attributesMask"]?.text.flatMap(Hex.decode), mask.count == 8
        else { throw malformed("a TDX module identity") }
        var levels: [SVNLevel] = []
        for item in value["tcbLevels"]?.items ?? [] { levels.append(try SVNLevel(item)) }
        return Module(
            identifier: value["id"]?.text ?? "", mrSigner: mrSigner, attributes: attributes,
            attributesMask: mask, levels: levels)
    }

    static func advisories(_ item: JSONValue) -> [String] {
        item["advisoryIDs"]?.items?.compactMap(\.text) ?? []
    }

    static func malformed(_ expected: String) -> Refusal {
        DCAPRefusal.collateral(
            "collateral.malformed", "TCB info or identity", expected, "something else")
    }
}

/// One level of a TDX module or of a quoting enclave: from this ISV SVN on, this status.
struct SVNLevel: Sendable {
    let svn: Int
    let status: TCBStatus
    let advisories: [String]

    init(_ item: JSONValue) throws(Refusal) {
        guard let svn = item["tcb"]?["isvsvn"]?.integer,
            let status = item["tcbStatus"]?.text.flatMap(TCBStatus.init)
        else { throw TCBInfo.malformed("an ISV SVN level") }
        self.svn = svn
        self.status = status
        advisories = TCBInfo.advisories(item)
    }

    /// The first level that `svn` reaches; levels come newest first.
    static func match(_ levels: [SVNLevel], svn: Int) -> SVNLevel? {
        levels.first { $0.svn <= svn }
    }
}
