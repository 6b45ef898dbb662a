internal import COpenSSL

/// What OpenSSL's BIO reads from and writes to: windows that the session points at pooled buffers
/// for the length of one call.
@unsafe
struct RecordIO {
    var input: UnsafeMutableRawPointer?
    var inputCount = 0
    var inputUsed = 0

    var output: UnsafeMutableRawPointer?
    var outputRoom = 0
    var outputUsed = 0

    /// Records that OpenSSL makes while it reads (KeyUpdate answers, alerts) and no output window
    /// is there: 768 bytes hold 30 of them; a peer that provokes more without reading its own is
    /// refused. With a full record (16,406 bytes) behind them they still fit into one buffer.
    static let spillCapacity = 768
    var spill: UnsafeMutableRawPointer?
    var spillCount = 0

    /// The BIO's method table, made once; its functions touch the window alone.
    nonisolated(unsafe) static let method: OpaquePointer = {
        let index = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK
        guard let method = unsafe BIO_meth_new(index, "ratel") else { fatalError("no BIO method") }
        unsafe BIO_meth_set_read(method, read)
        unsafe BIO_meth_set_write(method, write)
        unsafe BIO_meth_set_ctrl(method, control)
        return unsafe method
    }()

    private static let read:
        @convention(c) (OpaquePointer?, UnsafeMutablePointer<CChar>?, Int32) -> Int32 = {
            bio, target, wanted in
            let io = unsafe BIO_get_data(bio)!.assumingMemoryBound(to: RecordIO.self)
            unsafe ratel_BIO_clear_retry_flags(bio)
            let left = unsafe io.pointee.inputCount &- io.pointee.inputUsed
            guard left > 0, wanted > 0, let source = unsafe io.pointee.input else {
                unsafe ratel_BIO_set_retry_read(bio)
                return -1
            }
            let count = min(left, Int(wanted))
            unsafe UnsafeMutableRawPointer(target!).copyMemory(
                from: source + io.pointee.inputUsed, byteCount: count)
            unsafe io.pointee.inputUsed &+= count
            return Int32(truncatingIfNeeded: count)
        }

    private static let write:
        @convention(c) (OpaquePointer?, UnsafePointer<CChar>?, Int32) -> Int32 = {
            bio, source, offered in
            let io = unsafe BIO_get_data(bio)!.assumingMemoryBound(to: RecordIO.self)
            unsafe ratel_BIO_clear_retry_flags(bio)
            guard let output = unsafe io.pointee.output else {
                return unsafe spillOver(io, source!, Int(offered))
            }
            let room = unsafe io.pointee.outputRoom &- io.pointee.outputUsed
            let count = min(room, Int(offered))
            guard count > 0 else {
                unsafe ratel_BIO_set_retry_write(bio)
                return -1
            }
            unsafe (output + io.pointee.outputUsed).copyMemory(from: source!, byteCount: count)
            unsafe io.pointee.outputUsed &+= count
            return Int32(truncatingIfNeeded: count)
        }

    private static func spillOver(
        _ io: UnsafeMutablePointer<RecordIO>, _ source: UnsafePointer<CChar>, _ count: Int
    ) -> Int32 {
        guard unsafe io.pointee.spillCount + count <= spillCapacity else { return -1 }
        if unsafe io.pointee.spill == nil {
            unsafe io.pointee.spill = .allocate(byteCount: spillCapacity, alignment: 16)
        }
        unsafe (io.pointee.spill! + io.pointee.spillCount)
            .copyMemory(from: source, byteCount: count)
        unsafe io.pointee.spillCount += count
        return Int32(truncatingIfNeeded: count)
    }

    private static let control:
        @convention(c) (OpaquePointer?, Int32, Int, UnsafeMutableRawPointer?) -> Int = {
            _, command, _, _ in
            command == BIO_CTRL_FLUSH ? 1 : 0
        }
}
