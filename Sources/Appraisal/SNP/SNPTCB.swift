/// A line of AMD EPYC processors with SEV-SNP, by the name that policies use.
public enum SNPProduct: String, Sendable, CaseIterable {
    /// Family 19h, models 00h to 0Fh.
    case milan
    /// Family 19h, models 10h to 1Fh and A0h to AFh: Genoa, Bergamo, Siena.
    case genoa
    /// Family 1Ah, models 00h to 1Fh.
    case turin

    /// The product as AMD writes it in certificates.
    public var vendorName: String {
        switch self {
        case .milan: "Milan"
        case .genoa: "Genoa"
        case .turin: "Turin"
        }
    }

    /// The product with this CPUID family and model (extended ones added), else `nil`.
    ///
    /// VCEK Certificate and KDS Interface Specification (AMD 57230), section 3.
    init?(family: UInt8, model: UInt8) {
        switch (family, model) {
        case (0x19, 0x00...0x0F): self = .milan
        case (0x19, 0x10...0x1F), (0x19, 0xA0...0xAF): self = .genoa
        case (0x1A, 0x00...0x1F): self = .turin
        default: return nil
        }
    }
}

/// Security version numbers of the parts of a platform: TCB_VERSION, SEV-SNP Firmware ABI
/// Specification (AMD 56860), section 2.2.
public struct SNPTCB: Sendable, Hashable {
    /// The first mutable code of Turin's security processor; `nil` on products before.
    public let fmc: UInt8?
    /// The boot loader of the security processor.
    public let bootloader: UInt8
    /// The operating system of the security processor.
    public let tee: UInt8
    /// The SNP firmware.
    public let snp: UInt8
    /// The lowest microcode patch of all cores.
    public let microcode: UInt8

    /// Collects the numbers; `fmc` is given for Turin and for nothing else.
    public init(fmc: UInt8? = nil, bootloader: UInt8, tee: UInt8, snp: UInt8, microcode: UInt8) {
        self.fmc = fmc
        self.bootloader = bootloader
        self.tee = tee
        self.snp = snp
        self.microcode = microcode
    }

    /// Reads the eight bytes in a product's layout; `nil` where reserved bytes are not zero.
    init?(_ bytes: [UInt8], product: SNPProduct) {
        guard bytes.count == 8 else { return nil }
        if product == .turin {
            guard bytes[4...6].allSatisfy({ $0 == 0 }) else { return nil }
            self.init(
                fmc: bytes[0],
                bootloader: bytes[1],
                tee: bytes[2],
                snp: bytes[3],
                microcode: bytes[7]
            )
        } else {
            guard bytes[2...5].allSatisfy({ $0 == 0 }) else { return nil }
            self.init(bootloader: bytes[0], tee: bytes[1], snp: bytes[6], microcode: bytes[7])
        }
    }

    /// Each part with its name, in the order of boot.
    var parts: [(name: String, value: UInt8)] {
        let first: [(name: String, value: UInt8)] = fmc.map { [("fmc", $0)] } ?? []
        return first + [
            ("bootloader", bootloader), ("tee", tee), ("snp", snp), ("microcode", microcode),
        ]
    }

    /// The first part that is below the one in `floor`, or missing here or there; else `nil`.
    func shortfall(below floor: SNPTCB) -> (name: String, expected: String, got: String)? {
        guard (fmc == nil) == (floor.fmc == nil) else {
            return ("fmc", Self.show(floor.fmc), Self.show(fmc))
        }
        for (own, least) in zip(parts, floor.parts) where own.value < least.value {
            return (own.name, "at least \(least.value)", "\(own.value)")
        }
        return nil
    }

    /// The parts for people.
    var shown: String { parts.map { "\($0.name) \($0.value)" }.joined(separator: ", ") }

    private static func show(_ value: UInt8?) -> String { value.map { "\($0)" } ?? "none" }
}
