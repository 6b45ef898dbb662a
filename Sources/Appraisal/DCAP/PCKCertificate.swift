internal import Keys
internal import RATS

/// What Intel's extension says of the platform: Intel SGX PCK Certificate and CRL Profile
/// Specification, section 1.3.5 (1.2.840.113741.1.13.1).
struct PCKCertificate: Sendable, Equatable {
    static let identifier = "1.2.840.113741.1.13.1"

    let ppid: [UInt8]
    let fmspc: [UInt8]
    let pceID: [UInt8]
    /// SGX TCB component SVNs 1 to 16.
    let components: [Int]
    let pceSVN: Int
    let cpuSVN: [UInt8]

    init(_ certificate: Certificate) throws(Refusal) {
        guard let content = certificate.extension(PCKCertificate.identifier) else {
            throw PCKCertificate.refusal("none")
        }
        do throws(KeyError) {
            var fields: [[UInt8]: DERReader.Element] = [:]
            var outer = DERReader(content)
            var list = try outer.next(0x30).inside
            try PCKCertificate.read(&list, into: &fields)
            guard let tcb = fields[PCKCertificate.arc(2)], tcb.tag == 0x30 else {
                throw KeyError(.malformed, "PCK: no TCB")
            }
            var tcbFields: [[UInt8]: DERReader.Element] = [:]
            var tcbList = tcb.inside
            try PCKCertificate.read(&tcbList, into: &tcbFields)
            ppid = try PCKCertificate.octets(fields[PCKCertificate.arc(1)], count: 16)
            pceID = try PCKCertificate.octets(fields[PCKCertificate.arc(3)], count: 2)
            fmspc = try PCKCertificate.octets(fields[PCKCertificate.arc(4)], count: 6)
            var components: [Int] = []
            for index in 1...16 {
                components.append(
                    try PCKCertificate.number(tcbFields[PCKCertificate.arc(2, UInt8(index))]))
            }
            self.components = components
            pceSVN = try PCKCertificate.number(tcbFields[PCKCertificate.arc(2, 17)])
            cpuSVN = try PCKCertificate.octets(tcbFields[PCKCertificate.arc(2, 18)], count: 16)
        } catch {
            throw PCKCertificate.refusal(error.description)
        }
    }

    /// SEQUENCE OF SEQUENCE {OBJECT IDENTIFIER, value}; an identifier that comes twice is refused.
    private static func read(
        _ list: inout DERReader, into fields: inout [[UInt8]: DERReader.Element]
    ) throws(KeyError) {
        while !list.isAtEnd {
            var pair = try list.next(0x30).inside
            let identifier = try pair.next(0x06).content
            guard fields.updateValue(try pair.next(), forKey: identifier) == nil, pair.isAtEnd
            else { throw KeyError(.malformed, "PCK: a field twice") }
        }
    }

    private static func octets(
        _ element: DERReader.Element?, count: Int
    ) throws(KeyError) -> [UInt8] {
        guard let element, element.tag == 0x04, element.content.count == count else {
            throw KeyError(.malformed, "PCK: a field of another length")
        }
        return element.content
    }

    private static func number(_ element: DERReader.Element?) throws(KeyError) -> Int {
        guard let element, element.tag == 0x02, (1...3).contains(element.content.count),
            element.content[0] < 0x80
        else { throw KeyError(.malformed, "PCK: no SVN") }
        return element.content.reduce(0) { $0 << 8 | Int($1) }
    }

    /// The encoded arcs of the extension, with those below it.
    private static func arc(_ below: UInt8...) -> [UInt8] { prefix + below }
    private static let prefix = Array(DER.objectIdentifier(identifier).dropFirst(2))

    private static func refusal(_ got: String) -> Refusal {
        DCAPRefusal.evidence(
            "pck.extension", "SGX extension of the PCK certificate",
            "PPID, TCB, PCE-ID and FMSPC", got)
    }
}
