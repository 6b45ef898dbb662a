import Keys

/// TCB info and QE identity as Intel writes them, under a key made for one test.
struct FakeTCBDocuments {
    /// One level of the TCB info.
    struct Level {
        var sgx = [Int](repeating: 5, count: 16)
        var tdx: [Int]? = [Int](repeating: 5, count: 16)
        var pceSVN = 13
        var status = "UpToDate"
        var advisories: [String] = []

        var json: String {
            let both =
                ["\"sgxtcbcomponents\":\(Level.components(sgx))"]
                + (tdx.map { ["\"tdxtcbcomponents\":\(Level.components($0))"] } ?? [])
            return "{\"tcb\":{\(both.joined(separator: ",")),\"pcesvn\":\(pceSVN)},"
                + "\"tcbDate\":\"2026-01-01T00:00:00Z\",\"tcbStatus\":\"\(status)\","
                + "\"advisoryIDs\":\(FakeTCBDocuments.list(advisories))}"
        }

        private static func components(_ values: [Int]) -> String {
            "[" + values.map { "{\"svn\":\($0)}" }.joined(separator: ",") + "]"
        }
    }

    /// One level of a module or of the quoting enclave.
    struct SVN {
        var svn: Int
        var status = "UpToDate"
        var advisories: [String] = []

        var json: String {
            "{\"tcb\":{\"isvsvn\":\(svn)},\"tcbDate\":\"2026-01-01T00:00:00Z\","
                + "\"tcbStatus\":\"\(status)\","
                + "\"advisoryIDs\":\(FakeTCBDocuments.list(advisories))}"
        }
    }

    var issued = "2027-01-01T00:00:00Z"
    var nextUpdate = "2027-02-01T00:00:00Z"
    var evaluation = 20
    /// Members of the TCB info whose text is a plain string or number.
    var info: [(String, String)] = [
        ("id", "\"TDX\""), ("version", "3"), ("fmspc", "\"00806F050000\""), ("pceId", "\"0000\""),
    ]
    var levels = [Level()]
    /// `tdxModule` and the identities, each as JSON; nil leaves the member out.
    var firstModule: String? = FakeTCBDocuments.module(nil, levels: [])
    var modules: [String] = [FakeTCBDocuments.module("TDX_01", levels: [SVN(svn: 5)])]
    var identity: [(String, String)] = [
        ("id", "\"TD_QE\""), ("version", "2"), ("miscselect", "\"00000000\""),
        ("miscselectMask", "\"FFFFFFFF\""),
        ("attributes", "\"11000000000000000000000000000000\""),
        ("attributesMask", "\"FBFFFFFFFFFFFFFF0000000000000000\""),
        ("mrsigner", "\"" + String(repeating: "DD", count: 32) + "\""), ("isvprodid", "2"),
    ]
    var qeLevels = [SVN(svn: 4)]
    /// Applied to the two documents before they are signed, and after.
    var infoBefore: (String) -> String = { $0 }
    var infoAfter: (String) -> String = { $0 }
    var identityBefore: (String) -> String = { $0 }
    var identityAfter: (String) -> String = { $0 }

    static func module(
        _ identifier: String?, mrSigner: String = String(repeating: "00", count: 48),
        attributes: String = "0000000000000000", mask: String = "FFFFFFFFFFFFFFFF", levels: [SVN]
    ) -> String {
        let own = identifier.map {
            "\"id\":\"\($0)\",\"tcbLevels\":[\(levels.map(\.json).joined(separator: ","))],"
        }
        return "{\(own ?? "")\"mrsigner\":\"\(mrSigner)\",\"attributes\":\"\(attributes)\","
            + "\"attributesMask\":\"\(mask)\"}"
    }

    mutating func set(_ name: String, _ json: String?) {
        FakeTCBDocuments.set(&info, name, json)
    }

    mutating func setIdentity(_ name: String, _ json: String?) {
        FakeTCBDocuments.set(&identity, name, json)
    }

    private static func set(_ list: inout [(String, String)], _ name: String, _ json: String?) {
        list.removeAll { $0.0 == name }
        if let json { list.append((name, json)) }
    }

    func tcbInfo(_ key: PrivateKey) throws -> [UInt8] {
        var members = info + common(beside: info)
        members.append(("tcbLevels", "[\(levels.map(\.json).joined(separator: ","))]"))
        if let firstModule { members.append(("tdxModule", firstModule)) }
        members.append(("tdxModuleIdentities", "[\(modules.joined(separator: ","))]"))
        let text = infoBefore(FakeTCBDocuments.object(members))
        return Array(infoAfter(try FakeTCBDocuments.signed("tcbInfo", text, key)).utf8)
    }

    func qeIdentity(_ key: PrivateKey) throws -> [UInt8] {
        var members = identity + common(beside: identity)
        members.append(("tcbLevels", "[\(qeLevels.map(\.json).joined(separator: ","))]"))
        let text = identityBefore(FakeTCBDocuments.object(members))
        return Array(identityAfter(try FakeTCBDocuments.signed("enclaveIdentity", text, key)).utf8)
    }

    private func common(beside own: [(String, String)]) -> [(String, String)] {
        [
            ("issueDate", "\"\(issued)\""), ("nextUpdate", "\"\(nextUpdate)\""),
            ("tcbEvaluationDataNumber", "\(evaluation)"),
        ].filter { name, _ in !own.contains { $0.0 == name } }
    }

    private static func object(_ members: [(String, String)]) -> String {
        "{" + members.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}"
    }

    private static func signed(_ member: String, _ text: String, _ key: PrivateKey) throws -> String
    {
        let signature = try key.signRaw(Array(text.utf8), digest: .sha256)
        return "{\"\(member)\":\(text),\"signature\":\"\(Hex.encode(signature))\"}"
    }

    fileprivate static func list(_ words: [String]) -> String {
        "[" + words.map { "\"\($0)\"" }.joined(separator: ",") + "]"
    }
}
