"""Names and descriptions of built-in options. The English ones are those of the schemas, word for word."""

WORDS = {
    "option.max_tokens": ("Max tokens", "词元上限"),
    "option.max_tokens.about": ("Stop after this many tokens.", "生成这么多词元后停止。"),
    "option.temperature": ("Temperature", "温度"),
    "option.temperature.about": (
        "Logits are divided by this; 0 always takes the likeliest token.",
        "logits 除以这个数；0 表示总取最可能的词元。",
    ),
    "option.temperature.beam": (
        "0 takes the likeliest text; above, tokens are drawn, logits divided by this.",
        "0 取最可能的文本；大于 0 时按概率抽取词元，logits 除以这个数。",
    ),
    "option.top_k": ("Top k", "Top k"),
    "option.top_k.about": ("Keep only the k likeliest tokens; 0 keeps all.", "只保留最可能的 k 个词元；0 全部保留。"),
    "option.top_p": ("Top p", "Top p"),
    "option.top_p.about": (
        "Keep the fewest likeliest tokens whose probability reaches this.",
        "只保留概率之和达到这个数的最少几个最可能的词元。",
    ),
    "option.min_p": ("Min p", "Min p"),
    "option.min_p.about": (
        "Drop tokens less likely than this share of the likeliest one.",
        "去掉概率低于最可能词元的这个比例的词元。",
    ),
    "option.repetition_penalty": ("Repetition penalty", "重复惩罚"),
    "option.repetition_penalty.about": (
        "Divide the score of tokens seen recently; 1 is no penalty.",
        "最近出现过的词元的得分除以这个数；1 表示不惩罚。",
    ),
    "option.repetition_window": ("Repetition window", "重复窗口"),
    "option.repetition_window.about": (
        "How many of the last tokens count as seen recently.",
        "最后多少个词元算作最近出现过。",
    ),
    "option.stop": ("Stop", "停止文本"),
    "option.stop.about": (
        "Texts that end the reply; they are not part of it. One to a line; \\n is a new line.",
        "遇到这些文本就结束回复，文本本身不算在内。每行一个；\\n 表示换行。",
    ),
    "option.seed": ("Seed", "种子"),
    "option.seed.about": (
        "The same seed gives the same text; none draws a new one, which is reported.",
        "种子相同，文本就相同；留空则抽取一个新种子，并写在回复下面。",
    ),
    "option.alternatives": ("Alternatives", "候选数"),
    "option.alternatives.about": (
        "How many of the likeliest tokens to report at each position.",
        "在每个位置报告多少个最可能的词元。",
    ),
    "option.alternatives.beam": (
        "How many of the likeliest tokens to report at each position of a stream.",
        "流式输出时，在每个位置报告多少个最可能的词元。",
    ),
    "option.timeout": ("Timeout", "时间上限"),
    "option.timeout.about": (
        "Stop after this many seconds, waiting for a turn included.",
        "这么多秒后停止，包括排队等待的时间。",
    ),
    "option.exact": ("Exact", "精确"),
    "option.exact.about": (
        "The same text whatever else is generated at the same time, bit for bit; slower.",
        "无论同时还在生成什么，文本逐位相同；较慢。",
    ),
    "option.beam_size": ("Beam size", "束宽"),
    "option.beam_size.about": (
        "Texts pursued at the same time; 1 takes the likeliest token each time.",
        "同时展开多少个文本；1 表示每次取最可能的词元。",
    ),
    "option.n_best": ("N best", "返回条数"),
    "option.n_best.about": (
        "How many of the texts found to give, of at most beam_size.",
        "返回找到的多少个文本，最多为束宽。",
    ),
    "option.length_penalty": ("Length penalty", "长度惩罚"),
    "option.length_penalty.about": (
        "Log-probabilities are divided by ((5 + tokens) / 6) to this power (Wu et al. 2016, eq. 14): 0 favours short "
        "texts.",
        "对数概率除以 ((5 + 词元数) / 6) 的这个次方（Wu 等，2016，式 14）：0 偏向短文本。",
    ),
    "option.coverage_penalty": ("Coverage penalty", "覆盖惩罚"),
    "option.coverage_penalty.about": (
        "Weight of the penalty on source tokens that had little attention in all (Wu et al. 2016, eq. 14).",
        "对总共得到很少注意力的源词元的惩罚权重（Wu 等，2016，式 14）。",
    ),
    "option.max_ratio": ("Max ratio", "长度比上限"),
    "option.max_ratio.about": (
        "Stop after this many tokens for each token of the source, and ten more.",
        "每个源词元最多生成这么多词元，再加十个。",
    ),
    "option.explain": ("Explain", "解释方式"),
    "option.explain.about": (
        "running is the prediction after each token, gradients what each token contributed to the result (integrated "
        "gradients, Sundararajan et al. 2017).",
        "running 是读完每个词元之后的预测，gradients 是每个词元对结果的贡献（积分梯度，Sundararajan 等，2017）。",
    ),
    "option.not_whole": ("{name} = {text} is not a whole number.", "{name} = {text} 不是整数。"),
    "option.not_number": ("{name} = {text} is not a number.", "{name} = {text} 不是数。"),
    "option.not_json": ("{name} = {text} is not JSON ({reason}).", "{name} = {text} 不是 JSON（{reason}）。"),
    "option.empty": ("none", "无"),
}
