internal import Glibc
internal import RATS

/// NVIDIA's management library, loaded at run time: a machine without it needs nothing of it.
///
/// Functions and structures are those of `nvml.h`, "Confidential Computing"; the structures are
/// laid out here as their fields say, since no header is needed to build.
@safe
final class NVMLLibrary: @unchecked Sendable {
    private typealias Plain = @convention(c) () -> Int32
    private typealias Count = @convention(c) (UnsafeMutablePointer<UInt32>) -> Int32
    private typealias Handle =
        @convention(c) (UInt32, UnsafeMutablePointer<UnsafeMutableRawPointer?>) -> Int32
    private typealias Fill =
        @convention(c) (UnsafeMutableRawPointer, UnsafeMutableRawPointer) -> Int32

    /// nvmlConfComputeGpuAttestationReport_t: isCecAttestationReportPresent, attestationReportSize,
    /// cecAttestationReportSize (u32 each), nonce[0x20], attestationReport[0x2000],
    /// cecAttestationReport[0x1000].
    private enum Report {
        static let size = 44 + 0x2000 + 0x1000
        static let sizePlace = 4
        static let noncePlace = 12
        static let place = 44
        static let capacity = 0x2000
    }

    /// nvmlConfComputeGpuCertificate_t: certChainSize, attestationCertChainSize (u32 each),
    /// certChain[0x1000], attestationCertChain[0x1400].
    private enum Chain {
        static let size = 8 + 0x1000 + 0x1400
        static let sizePlace = 4
        static let place = 8 + 0x1000
        static let capacity = 0x1400
    }

    /// nvmlConfComputeSystemState_t: environment, ccFeature, devToolsMode (u32 each).
    private typealias State = @convention(c) (UnsafeMutablePointer<UInt32>) -> Int32

    // The handle, and what it holds, do not change; the library locks inside (nvml.h, "Thread
    // Safety").
    private let library: UnsafeMutableRawPointer
    private let stop: Plain
    private let count: Count
    private let handle: Handle
    private let report: Fill
    private let chain: Fill
    private let state: State

    /// Loads the library at `path`, or by that name, and starts it.
    init(_ path: String) throws(Refusal) {
        guard let library = unsafe dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
            throw NVMLLibrary.refusal("nvidia.nvml.missing", path, "a library", "none")
        }
        do throws(Refusal) {
            let start = try unsafe NVMLLibrary.function("nvmlInit_v2", library, as: Plain.self)
            stop = try unsafe NVMLLibrary.function("nvmlShutdown", library, as: Plain.self)
            unsafe count = try unsafe NVMLLibrary.function(
                "nvmlDeviceGetCount_v2", library, as: Count.self)
            unsafe handle = try unsafe NVMLLibrary.function(
                "nvmlDeviceGetHandleByIndex_v2", library, as: Handle.self)
            unsafe report = try unsafe NVMLLibrary.function(
                "nvmlDeviceGetConfComputeGpuAttestationReport", library, as: Fill.self)
            unsafe chain = try unsafe NVMLLibrary.function(
                "nvmlDeviceGetConfComputeGpuCertificate", library, as: Fill.self)
            unsafe state = try unsafe NVMLLibrary.function(
                "nvmlSystemGetConfComputeState", library, as: State.self)
            try NVMLLibrary.check(start(), "nvmlInit_v2")
        } catch {
            unsafe dlclose(library)
            throw error
        }
        unsafe self.library = unsafe library
    }

    deinit {
        _ = stop()
        unsafe dlclose(library)
    }

    /// How many GPUs there are.
    func deviceCount() throws(Refusal) -> Int {
        var number: UInt32 = 0
        try NVMLLibrary.check(unsafe count(&number), "nvmlDeviceGetCount_v2")
        return Int(number)
    }

    /// Refuses where confidential computing is off: drivers then answer the request for a report
    /// with "unknown error" (580.159 on an H200), which tells nobody what to do.
    func checkMode() throws(Refusal) {
        var found: [UInt32] = [0, 0, 0]
        try NVMLLibrary.check(unsafe state(&found), "nvmlSystemGetConfComputeState")
        guard found[1] != 0 else {
            throw NVMLLibrary.refusal(
                "nvidia.mode.off", "confidential computing", "on", "off")
        }
    }

    /// GET_MEASUREMENTS request with `nonce` (32 bytes), and the response to it.
    func report(of index: Int, nonce: [UInt8]) throws(Refusal) -> [UInt8] {
        precondition(nonce.count == 32, "a nonce of SPDM has 32 bytes")
        var bytes = [UInt8](repeating: 0, count: Report.size)
        bytes.replaceSubrange(Report.noncePlace..<Report.noncePlace + 32, with: nonce)
        try unsafe fill(&bytes, index, report, "nvmlDeviceGetConfComputeGpuAttestationReport")
        return try NVMLLibrary.part(
            bytes, Report.sizePlace, Report.place, Report.capacity, "attestation report")
    }

    /// The certificates of the key that signs reports, PEM, leaf first.
    func certificates(of index: Int) throws(Refusal) -> String {
        var bytes = [UInt8](repeating: 0, count: Chain.size)
        try unsafe fill(&bytes, index, chain, "nvmlDeviceGetConfComputeGpuCertificate")
        let pem = try NVMLLibrary.part(
            bytes, Chain.sizePlace, Chain.place, Chain.capacity, "attestation certificates")
        // The buffer's size may count the zero behind the text.
        return String(decoding: pem.prefix { $0 != 0 }, as: UTF8.self)
    }

    private func fill(
        _ bytes: inout [UInt8], _ index: Int, _ function: Fill, _ name: String
    ) throws(Refusal) {
        var device: UnsafeMutableRawPointer?
        let found = unsafe handle(UInt32(index), &device)
        try NVMLLibrary.check(found, "nvmlDeviceGetHandleByIndex_v2")
        guard let device = unsafe device else {
            throw NVMLLibrary.refusal("nvidia.nvml.failed", name, "a device", "none")
        }
        let result = unsafe bytes.withUnsafeMutableBytes { buffer -> Int32 in
            guard let start = buffer.baseAddress else { return -1 }
            return unsafe function(device, start)
        }
        try NVMLLibrary.check(result, name)
    }

    // Sizes are little-endian on every machine that has such a GPU.
    private static func part(
        _ bytes: [UInt8], _ sizePlace: Int, _ place: Int, _ capacity: Int, _ name: String
    ) throws(Refusal) -> [UInt8] {
        let size = (0..<4).reduce(0) { $0 | Int(bytes[sizePlace + $1]) << (8 * $1) }
        guard (1...capacity).contains(size) else {
            throw refusal("nvidia.nvml.failed", name, "1 to \(capacity) bytes", "\(size)")
        }
        return Array(bytes[place..<place + size])
    }

    @unsafe private static func function<Function>(
        _ name: String, _ library: UnsafeMutableRawPointer, as type: Function.Type
    ) throws(Refusal) -> Function {
        guard let address = unsafe dlsym(library, name) else {
            throw refusal("nvidia.nvml.missing", name, "a function of the library", "none")
        }
        return unsafe unsafeBitCast(address, to: type)
    }

    private static func check(_ result: Int32, _ name: String) throws(Refusal) {
        guard result == 0 else {
            let known = names[result].map { ", \($0)" } ?? ""
            throw refusal("nvidia.nvml.failed", name, "NVML_SUCCESS", "error \(result)\(known)")
        }
    }

    /// Those of nvmlReturn_t (nvml.h) that a person can do something about.
    private static let names: [Int32: String] = [
        1: "uninitialized", 2: "invalid argument",
        3: "not supported: confidential computing is off",
        4: "no permission", 6: "not found", 9: "the driver is not loaded", 15: "the GPU is lost",
        17: "the operating system blocks the request", 18: "driver and library differ",
        999: "unknown",
    ]

    static func refusal(
        _ code: String, _ field: String, _ expected: String, _ got: String
    ) -> Refusal {
        Refusal(
            code, .attestation, kind: "nvidia_gpu", field: field, expected: expected, got: got,
            remedy: "check that the driver is loaded and confidential computing is on "
                + "(nvidia-smi conf-compute -f), and that this process may use the GPUs")
    }
}
