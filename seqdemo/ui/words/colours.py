"""What the switch that colours tokens says."""

WORDS = {
    "colours.name": ("Colour tokens by", "词元着色方式"),
    "colours.label": ("Colour", "着色"),
    "colours.off": ("Off", "关闭"),
    "colours.chance": ("Probability", "概率"),
    "colours.surprise": ("Surprise", "意外程度"),
    "colours.legend": ("What the shades mean", "颜色的含义"),
    "colours.more": ("≥ {bits} bits", "≥ {bits} 比特"),
}
