"""What results say, whatever task they come from."""

WORDS = {
    "results.none": ("none", "无"),
    "results.more": ("… and {number} more", "……还有 {number} 项"),
}
