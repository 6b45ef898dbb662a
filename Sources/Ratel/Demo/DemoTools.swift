internal import Loop

/// The demo's single parts as processes of their own.
public enum DemoTools {
    /// Runs the token generator at `listen` until the process ends; a token each `pace` ms.
    public static func runBackend(
        listen: String, pace: Int
    ) throws(ConfigurationError) -> Int32 {
        System.ignoreBrokenPipes()
        let address = try SettingValue.address(listen, setting: "listen")
        let loop = EventLoop(bufferCount: 4_096)
        do {
            let backend = try DemoBackend(
                on: loop, address: address, pace: UInt64(clamping: max(1, pace)))
            System.writeError("demo backend (a token generator) at \(backend.address)")
        } catch {
            throw ConfigurationError("--listen \(listen): \(error)")
        }
        loop.run()
        return 0
    }

    /// Runs the attacker at `listen`, in front of `server`, until the process ends.
    public static func runInterceptor(
        listen: String, server: String
    ) throws(ConfigurationError) -> Int32 {
        System.ignoreBrokenPipes()
        let loop = EventLoop(bufferCount: 64)
        let interceptor = try Interceptor(
            on: loop, address: try SettingValue.address(listen, setting: "listen"),
            server: try SettingValue.address(server, setting: "server"))
        System.writeError("intercepting at \(interceptor.address)")
        loop.run()
        return 0
    }
}
