import Foundation
import Testing

@testable import bulkhead

@Suite("Open file limit")
struct OpenFileLimitTests {
  @Test("the soft limit becomes the hard one")
  func raise() {
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    var before = rlimit()
    getrlimit(resource, &before)
    var lowered = rlimit(rlim_cur: min(before.rlim_max, 900), rlim_max: before.rlim_max)
    setrlimit(resource, &lowered)
    #expect(OpenFileLimit.raise() == Int(clamping: before.rlim_max))
    var after = rlimit()
    getrlimit(resource, &after)
    #expect(after.rlim_cur == before.rlim_max)
  }
}
