const std = @import("std");

/// What a guest is told.
pub fn of(buffer: []u8, guest: []const u8) ![]const u8 {
    return std.fmt.bufPrint(buffer, "Hello from {s}!\n", .{guest});
}
