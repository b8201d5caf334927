//! Elastic vision transformers: stages of attention blocks over tokens, in each of which the depth, the
//! width, the heads and the hidden width are free; on demand the patch size, the rank of all matrices and
//! what kind of attention the heads of a stage pay too.
//!
//! Blocks: Dosovitskiy et al., "An Image Is Worth 16×16 Words", ICLR 2021, arXiv:2010.11929, norms
//! first; the mean of the tokens is classified. Between stages the tokens become a quarter:
//!
//! - *residual*: Liao, Karaman and Sze, "Searching for Efficient Multi-Stage Vision Transformers",
//!   2021, arXiv:2109.00642, and their public code: norm, 3×3 convolution of stride 2, positions; plus
//!   the mean of every 2×2 tokens, with zeros for the new channels. *Plain* is the same without that sum.
//! - *queries*: Ryali et al., "Hiera", ICML 2023, arXiv:2306.00989: the first block of the stage takes
//!   the maximum of every 2×2 queries and of its projected shortcut.
//!
//! The first stages may attend in windows alone (Hiera's mask units): a window covers the same part of
//! the image in each of them, and a reducing block still has the windows of the stage before it.
//!
//! Low ranks and patch sizes: Liang et al., "MCUFormer", NeurIPS 2023, arXiv:2310.16898: a matrix of
//! rank r is a product of two, the first with r columns.
//!
//! Kinds of attention: softmax, or scaling attention, scores divided by the number of tokens (Zeng et al.,
//! "MPCViT", ICCV 2023, arXiv:2211.13955), for all heads of a stage or for the last half of them. Heads are
//! alike before training, so how many are of a kind is all there is to choose; all have the same weights.
//!
//! Every option of a gene is larger than the one before, so the last ones together are the largest
//! network, and others are parts of it: leading blocks, heads, channels, ranks. Patches of another size,
//! and what is of low rank, have tensors of their own.

use super::{Gene, Genome, Space, check};
use crate::model::{Attr, Attrs, Graph, GraphBuilder, Init, Places};
use crate::params::{Config, ParamSpec};
use crate::registry::{Citation, Method};
use crate::{Error, Result};

/// See the module.
pub struct Vit;

pub(super) static METHOD: Method = Method {
    id: "vit",
    name: "Elastic vision transformer",
    sentence: "Stages of attention blocks over image patches; each stage's depth, width, heads and hidden width are free, on demand the patch size, the rank of all matrices and the kind of attention of every head too.",
    formula: "x ← x + MHA(LN(x)),  x ← x + MLP(LN(x))",
    citation: Citation {
        authors: "Liao, Karaman and Sze",
        title: "Searching for Efficient Multi-Stage Vision Transformers",
        year: 2021,
        venue: "arXiv:2109.00642",
    },
    params: &[
        ParamSpec::int(
            "vit.resolution",
            "Resolution",
            4,
            64,
            16,
            "Images are scaled to it by repeating pixels.",
        )
        .unit("pixels"),
        ParamSpec::int("vit.patch", "Patch", 1, 16, 4, "Side of the part of an image that becomes a token.")
            .unit("pixels"),
        ParamSpec::bool(
            "vit.free-patch",
            "Patch size is free",
            false,
            "Whether patches twice as wide are a choice too; they make a quarter of the tokens.",
        ),
        ParamSpec::int("vit.stages", "Stages", 1, 4, 2, "Each has a quarter of the tokens of the one before."),
        ParamSpec::choice(
            "vit.reduction",
            "Between stages",
            &[
                ("residual", "convolution plus pooled shortcut"),
                ("plain", "convolution alone"),
                ("queries", "pooled queries"),
            ],
            "residual",
            "How the tokens become a quarter.",
        ),
        ParamSpec::int("vit.depth", "Deepest stage", 1, 8, 2, "How many blocks a stage has at most."),
        ParamSpec::int(
            "vit.width",
            "Widest stage",
            4,
            128,
            16,
            "Features of a token in the first stage at most; a half and three quarters are the other choices. Each further stage has twice as many.",
        )
        .unit("features"),
        ParamSpec::int(
            "vit.heads",
            "Heads",
            1,
            16,
            2,
            "Of the first stage at most; a half and three quarters are the other choices. Each further stage has twice as many.",
        ),
        ParamSpec::int("vit.head-width", "Width of a head", 2, 64, 8, "Features that a head looks at.")
            .unit("features"),
        ParamSpec::int(
            "vit.expansion",
            "Expansion",
            1,
            6,
            2,
            "How many times wider than the widest token the middle of a block's second half is at most.",
        ),
        ParamSpec::bool(
            "vit.free-hidden",
            "Hidden width is free",
            true,
            "Whether a half and three quarters of that middle are choices too.",
        ),
        ParamSpec::bool(
            "vit.free-rank",
            "Rank is free",
            false,
            "Whether all matrices may be products of two, of a quarter or a half of the full rank.",
        ),
        ParamSpec::bool(
            "vit.free-attention",
            "Attention is free",
            false,
            "Whether all heads of a stage, or half of them, may divide their scores by the number of tokens in place of a softmax.",
        ),
        ParamSpec::int(
            "vit.windows",
            "Stages with windows",
            0,
            4,
            0,
            "In so many first stages tokens attend within their window alone.",
        ),
        ParamSpec::int("vit.window", "Window", 2, 16, 4, "Side of a window in the first stage; half of it in the next.")
            .unit("tokens"),
    ],
};

/// Positions start with a standard deviation of 0.02, √(2/5000).
const POSITIONS: Init = Init::He { fan_in: 5000 };

/// A matrix starts as those of Liao, Karaman and Sze do at their width: 0.02 with 256 features, hence
/// 0.32/√features, so that blocks begin near the identity.
fn gentle(fan_in: usize) -> Init {
    Init::He { fan_in: 20 * fan_in }
}

/// Keeps the variance.
fn even(fan_in: usize) -> Init {
    Init::He { fan_in: 2 * fan_in }
}

/// A convolution starts with a variance of 1/(3·`fan_in`), as theirs.
fn convolution(fan_in: usize) -> Init {
    Init::He { fan_in: 6 * fan_in }
}

/// What is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Patch,
    /// In quarters of the full rank.
    Rank,
    Depth(usize),
    Width(usize),
    Heads(usize),
    Hidden(usize),
    /// Halves of a stage's heads that have a softmax.
    Softmax(usize),
}

/// What a network is, read from its genome.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    side: usize,
    patch: usize,
    quarters: usize,
    head_width: usize,
    reduction: Reduction,
    windows: usize,
    window: usize,
    stages: Vec<Stage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stage {
    depth: usize,
    width: usize,
    heads: usize,
    hidden: usize,
    /// Heads that have a softmax; the others divide by the number of tokens.
    softmax: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reduction {
    Residual,
    Plain,
    Queries,
}

fn count(config: &Config, key: &str) -> usize {
    config.count(METHOD.params, &format!("vit.{key}")).max(1)
}

fn flag(config: &Config, key: &str) -> bool {
    config.bool(METHOD.params, &format!("vit.{key}"))
}

/// A half, three quarters and all of `top`, in steps of `unit`; each once.
fn parts(top: usize, unit: usize) -> Vec<usize> {
    let mut parts: Vec<usize> =
        [top / 2, top * 3 / 4, top].map(|n| n.next_multiple_of(unit).clamp(unit, top.max(unit))).into();
    parts.dedup();
    parts
}

/// Every choice with its options, the largest last; those with a single option are no genes.
fn choices(config: &Config) -> Vec<(What, Vec<usize>)> {
    let patch = count(config, "patch");
    let mut all = vec![
        (What::Patch, if flag(config, "free-patch") { vec![2 * patch, patch] } else { vec![patch] }),
        (What::Rank, if flag(config, "free-rank") { vec![1, 2, 4] } else { vec![4] }),
    ];
    for s in 0..count(config, "stages") {
        let hidden = (count(config, "expansion") * count(config, "width")) << s;
        all.push((What::Depth(s), (1..=count(config, "depth")).collect()));
        all.push((What::Width(s), parts(count(config, "width") << s, 2)));
        all.push((What::Heads(s), parts(count(config, "heads") << s, 1)));
        let free = flag(config, "free-hidden");
        all.push((What::Hidden(s), if free { parts(hidden, 2) } else { vec![hidden] }));
        all.push((What::Softmax(s), if flag(config, "free-attention") { vec![0, 1, 2] } else { vec![2] }));
    }
    all
}

impl Plan {
    fn new(config: &Config, genome: &Genome) -> Self {
        let (mut picked, mut gene) = (Vec::new(), 0);
        for (what, options) in choices(config) {
            let at = if options.len() > 1 { genome.at(gene) } else { 0 };
            gene += usize::from(options.len() > 1);
            picked.push((what, options.get(at).or(options.last()).copied().unwrap_or(1)));
        }
        let of = |what| picked.iter().find(|p| p.0 == what).map_or(1, |p| p.1);
        let stage = |s| Stage {
            depth: of(What::Depth(s)),
            width: of(What::Width(s)),
            heads: of(What::Heads(s)),
            hidden: of(What::Hidden(s)),
            softmax: of(What::Heads(s)) * of(What::Softmax(s)) / 2,
        };
        Self {
            side: count(config, "resolution"),
            patch: of(What::Patch),
            quarters: of(What::Rank),
            head_width: count(config, "head-width"),
            reduction: match config.text(METHOD.params, "vit.reduction").as_str() {
                "plain" => Reduction::Plain,
                "queries" => Reduction::Queries,
                _ => Reduction::Residual,
            },
            windows: config.count(METHOD.params, "vit.windows"),
            window: count(config, "window"),
            stages: (0..count(config, "stages")).map(stage).collect(),
        }
    }

    /// Side of the windows of a stage, in tokens; `None` where every token sees all.
    fn window(&self, stage: usize, side: usize) -> Option<usize> {
        let window = self.window >> stage;
        (stage < self.windows && (2..side).contains(&window)).then_some(window)
    }
}

/// A network under construction.
struct Net<'a> {
    b: GraphBuilder,
    plan: &'a Plan,
    /// Where the next layers stand.
    place: String,
    /// Matrices so far.
    matrices: usize,
}

impl Net<'_> {
    fn place(&mut self, place: String) {
        self.b.place(place.clone());
        self.place = place;
    }

    fn one(&mut self, op: &str, x: &str, attrs: &[(&str, Attr)]) -> Result<String> {
        let attrs: Attrs = attrs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        Ok(self.b.node(op, &[x], attrs, 1)?.swap_remove(0))
    }

    fn features(&self, x: &str) -> usize {
        self.b.shape(x).last().copied().unwrap_or(0)
    }

    fn matrix(&mut self, x: &str, features: usize, bias: bool, init: Init) -> Result<String> {
        let name = format!("matrix{}", self.matrices);
        self.matrices += 1;
        let weight = self.b.param(format!("{name}.weight"), vec![self.features(x), features], init, true);
        let y = self.b.matmul(x, &weight)?;
        if !bias {
            return Ok(y);
        }
        let bias = self.b.param(format!("{name}.bias"), vec![features], Init::Constant(0.0), true);
        self.b.add(&y, &bias)
    }

    /// A matrix, or the product of two.
    fn dense(&mut self, x: &str, features: usize, bias: bool) -> Result<String> {
        self.dense_from(x, features, bias, gentle)
    }

    /// The same with another start.
    fn dense_from(
        &mut self,
        x: &str,
        features: usize,
        bias: bool,
        init: fn(usize) -> Init,
    ) -> Result<String> {
        let before = self.features(x);
        if self.plan.quarters == 4 {
            return self.matrix(x, features, bias, init(before));
        }
        let rank = (before.min(features) * self.plan.quarters / 4).max(1);
        self.b.place(format!("{}.low", self.place));
        // The first keeps the variance, the second starts as a whole matrix does.
        let y = self.matrix(x, rank, false, even(before))?;
        let y = self.matrix(&y, features, bias, init(rank))?;
        self.b.place(self.place.clone());
        Ok(y)
    }

    /// Positions, one for each of `side`² tokens, of which no two sizes share any.
    fn positions(&mut self, x: &str, side: usize) -> Result<String> {
        self.b.place(format!("{}.{side}×{side}", self.place));
        let shape = vec![side * side, self.features(x)];
        let n = self.b.shape(x).get(1).copied().unwrap_or(0);
        let name = self.b.param(format!("positions{n}.weight"), shape, POSITIONS, true);
        self.b.place(self.place.clone());
        self.b.add(x, &name)
    }

    /// The maximum or the mean of every 2×2 tokens.
    fn pool(&mut self, op: &str, x: &str, side: usize) -> Result<String> {
        let y = self.b.image(x, side, side)?;
        let y = self.b.pool(op, &y, 2, 2)?;
        self.b.tokens(&y)
    }

    /// `[batch, side², features]` as `[batch, windows, window², features]`, and the other way.
    fn partition(&mut self, x: &str, side: usize, window: usize, back: bool) -> Result<String> {
        let (n, f) = (side / window, self.features(x));
        let (a, b) = if back { (n, window) } else { (window, n) };
        let y = self.b.reshape(x, &[n, a, b, window * f])?;
        let y = self.b.transpose(&y, &[0, 1, 3, 2, 4])?;
        let whole = if back { vec![side * side, f] } else { vec![n * n, window * window, f] };
        self.b.reshape(&y, &whole)
    }

    /// Attention of queries to keys and values, each `[batch, tokens, heads·width]`, in windows of
    /// `window` keys a side where there are some; the first `softmax` of the `heads` with a softmax. `sides`: of
    /// the queries' and of the keys' square.
    fn attend(
        &mut self,
        qkv: [&str; 3],
        [heads, softmax]: [usize; 2],
        sides: [usize; 2],
        window: Option<usize>,
    ) -> Result<String> {
        let width = self.plan.head_width;
        let scale = 1.0 / (width as f32).sqrt();
        let [q, k, v] = qkv;
        let Some(window) = window else {
            let (q, k) = (self.b.split_heads(q, heads, width)?, self.b.split_heads(k, heads, width)?);
            let k = self.b.transpose(&k, &[0, 1, 3, 2])?;
            let scores = self.b.matmul(&q, &k)?;
            let scores = self.b.scaled(&scores, scale)?;
            let shares = self.b.shares(&scores, 1, softmax)?;
            let v = self.b.split_heads(v, heads, width)?;
            let y = self.b.matmul(&shares, &v)?;
            return self.b.join_heads(&y);
        };
        let inner = window * sides[0] / sides[1];
        let split = |net: &mut Self, x: &str, side: usize, window: usize| -> Result<String> {
            let y = net.partition(x, side, window, false)?;
            let n = side / window;
            let y = net.b.reshape(&y, &[n * n, window * window, heads, width])?;
            net.b.transpose(&y, &[0, 1, 3, 2, 4])
        };
        let q = split(self, q, sides[0], inner)?;
        let k = split(self, k, sides[1], window)?;
        let v = split(self, v, sides[1], window)?;
        let k = self.b.transpose(&k, &[0, 1, 2, 4, 3])?;
        let scores = self.b.matmul(&q, &k)?;
        let scores = self.b.scaled(&scores, scale)?;
        let shares = self.b.shares(&scores, 2, softmax)?;
        let y = self.b.matmul(&shares, &v)?;
        let y = self.b.transpose(&y, &[0, 1, 3, 2, 4])?;
        let n = sides[0] / inner;
        let y = self.b.reshape(&y, &[n * n, inner * inner, heads * width])?;
        self.partition(&y, sides[0], inner, true)
    }

    /// A block; where it is to `reduce`, tokens become a quarter and have the stage's width.
    fn block(
        &mut self,
        x: &str,
        stage: Stage,
        side: usize,
        window: Option<usize>,
        reduce: bool,
    ) -> Result<String> {
        let norm = self.b.layer_norm(x)?;
        let shortcut = if reduce {
            // No branch but the trunk itself: it keeps its variance.
            let y = self.dense_from(&norm, stage.width, true, even)?;
            self.pool("MaxPool", &y, side)?
        } else {
            x.to_owned()
        };
        let wide = stage.heads * self.plan.head_width;
        let mut q = self.dense(&norm, wide, false)?;
        let k = self.dense(&norm, wide, false)?;
        let v = self.dense(&norm, wide, true)?;
        let mut after = side;
        if reduce {
            q = self.pool("MaxPool", &q, side)?;
            after = side / 2;
        }
        let y = self.attend([&q, &k, &v], [stage.heads, stage.softmax], [after, side], window)?;
        let y = self.dense(&y, stage.width, true)?;
        let x = self.b.add(&shortcut, &y)?;
        let y = self.b.layer_norm(&x)?;
        let y = self.dense(&y, stage.hidden, true)?;
        let y = self.b.unary("Gelu", &y)?;
        let y = self.dense(&y, stage.width, true)?;
        self.b.add(&x, &y)
    }

    /// Spatial reduction by a convolution; `side` is that of the tokens before.
    fn reduce(&mut self, x: &str, width: usize, side: usize) -> Result<String> {
        let norm = self.b.layer_norm(x)?;
        let image = self.b.image(&norm, side, side)?;
        let y = strided(&mut self.b, &image, width, [3, 2, 1])?;
        let y = self.b.tokens(&y)?;
        let y = self.positions(&y, side / 2)?;
        if self.plan.reduction == Reduction::Plain {
            return Ok(y);
        }
        let mut pooled = self.pool("AveragePool", x, side)?;
        let more = width as i64 - self.features(x) as i64;
        if more > 0 {
            let pads = [("axes", Attr::Ints(vec![2])), ("pads", Attr::Ints(vec![0, more]))];
            pooled = self.one("Pad", &pooled, &pads)?;
        }
        self.b.add(&pooled, &y)
    }
}

/// The network, and where its parameters stand.
///
/// # Errors
/// As those of [`Space::graph`].
pub(crate) fn placed(
    config: &Config,
    genome: &Genome,
    input: &[usize],
    classes: usize,
) -> Result<(Graph, Places)> {
    check(&Vit.genes(config), genome)?;
    let [_, _, _] = input else {
        return Err(Error::Unsupported(format!(
            "vision transformers take images (channels, height, width), but a sample here is {input:?}; choose the MLP space"
        )));
    };
    let plan = Plan::new(config, genome);
    let unit = plan.patch << (plan.stages.len() - 1);
    let mut side = plan.side / plan.patch;
    // Reducing blocks have windows of queries half as wide.
    let even = plan.reduction != Reduction::Queries;
    let fits = |s: usize| {
        let last = s + 1 == plan.stages.len();
        plan.window(s, side >> s)
            .is_none_or(|w| (side >> s).is_multiple_of(w) && (even || last || w % 2 == 0))
    };
    if !plan.side.is_multiple_of(unit) || !(0..plan.stages.len()).all(fits) {
        return Err(Error::config(
            "vit.resolution",
            format!(
                "{0} × {0} pixels do not make whole patches, stages and windows: a multiple of {unit} pixels is needed, and windows that divide the tokens",
                plan.side
            ),
        ));
    }
    let mut net = Net {
        b: GraphBuilder::new(&Vit.label(config, genome), input),
        plan: &plan,
        place: String::new(),
        matrices: 0,
    };
    let mut x = net.b.resized(&net.b.input(), plan.side)?;
    let Some(first) = plan.stages.first() else {
        return Err(Error::config("vit.stages", "a network has at least one stage"));
    };
    net.place(format!("patches of {0}×{0}", plan.patch));
    // Every patch through the same matrix: a convolution whose stride is its kernel.
    x = strided(&mut net.b, &x, first.width, [plan.patch, plan.patch, 0])?;
    x = net.b.tokens(&x)?;
    net.place("stage 1.start".into());
    x = net.positions(&x, side)?;
    for (s, stage) in plan.stages.iter().enumerate() {
        if s > 0 && plan.reduction != Reduction::Queries {
            net.place(format!("stage {}.start", s + 1));
            x = net.reduce(&x, stage.width, side)?;
            side /= 2;
        }
        for i in 0..stage.depth {
            net.place(format!("stage {}.block {}", s + 1, i + 1));
            let reduce = s > 0 && i == 0 && plan.reduction == Reduction::Queries;
            // What reduces looks through the windows of the stage before.
            let window = plan.window(if reduce { s - 1 } else { s }, side);
            x = net.block(&x, *stage, side, window, reduce)?;
            if reduce {
                side /= 2;
            }
        }
    }
    net.place("head".into());
    x = net.b.layer_norm(&x)?;
    x = net.one("ReduceMean", &x, &[("axes", Attr::Ints(vec![1])), ("keepdims", Attr::Int(0))])?;
    let features = net.features(&x);
    x = net.matrix(&x, classes, true, gentle(features))?;
    net.b.finish_placed(&x)
}

/// A convolution with a bias, of this kernel, stride and padding.
fn strided(b: &mut GraphBuilder, x: &str, width: usize, shape: [usize; 3]) -> Result<String> {
    let channels = b.shape(x).get(1).copied().unwrap_or(0);
    let [kernel, stride, pad] = shape;
    let mut name = format!("reduce{}", b.shape(x).get(2).copied().unwrap_or(0));
    // With patches of one pixel the first reduction sees an image as large as the patches' own.
    while !b.shape(&format!("{name}.weight")).is_empty() {
        name.push('b');
    }
    let init = convolution(channels * kernel * kernel);
    let weight = b.param(format!("{name}.weight"), vec![width, channels, kernel, kernel], init, true);
    let bias = b.param(format!("{name}.bias"), vec![width], Init::Constant(0.0), true);
    let ints = |n: usize, count: usize| Attr::Ints(vec![n as i64; count]);
    let attrs = [("kernel_shape", ints(kernel, 2)), ("strides", ints(stride, 2)), ("pads", ints(pad, 4))];
    let attrs = attrs.map(|(key, value)| (key.to_owned(), value)).into();
    Ok(b.node("Conv", &[x, &weight, &bias], attrs, 1)?.swap_remove(0))
}

/// Networks that together have every shared tensor at its largest: every patch size, of full and of low
/// rank.
#[cfg(feature = "compute")]
pub(crate) fn cover(config: &Config) -> Vec<Genome> {
    let free: Vec<_> = choices(config).into_iter().filter(|c| c.1.len() > 1).collect();
    let mut all = vec![Genome(free.iter().map(|c| (c.1.len() - 1) as u8).collect())];
    for (i, _) in free.iter().enumerate().filter(|(_, c)| matches!(c.0, What::Patch | What::Rank)) {
        let more: Vec<Genome> = all.clone();
        all.extend(more.into_iter().map(|mut g| {
            g.0[i] -= 1;
            g
        }));
    }
    all
}

impl Space for Vit {
    fn method(&self) -> &'static Method {
        &METHOD
    }

    fn genes(&self, config: &Config) -> Vec<Gene> {
        let name = |what| match what {
            What::Patch => "patch".to_owned(),
            What::Rank => "rank (quarters)".to_owned(),
            What::Depth(s) => format!("stage {} depth", s + 1),
            What::Width(s) => format!("stage {} width", s + 1),
            What::Heads(s) => format!("stage {} heads", s + 1),
            What::Hidden(s) => format!("stage {} hidden width", s + 1),
            What::Softmax(s) => format!("stage {} attention", s + 1),
        };
        let free = choices(config).into_iter().filter(|c| c.1.len() > 1);
        free.map(|(what, options)| match what {
            What::Softmax(_) => Gene::new(name(what), ["scaling", "half scaling", "softmax"]),
            _ => Gene::new(name(what), options),
        })
        .collect()
    }

    /// Half of a single head is none.
    fn canonical(&self, config: &Config, genome: &Genome) -> Genome {
        let plan = Plan::new(config, genome);
        let free = choices(config).into_iter().filter(|c| c.1.len() > 1).enumerate();
        let option = |(i, (what, _)): (usize, (What, Vec<usize>))| match what {
            What::Softmax(s) if plan.stages[s].softmax == 0 => 0,
            _ => genome.at(i) as u8,
        };
        Genome(free.map(option).collect())
    }

    fn graph(&self, config: &Config, genome: &Genome, input: &[usize], classes: usize) -> Result<Graph> {
        Ok(placed(config, genome, input, classes)?.0)
    }

    fn label(&self, config: &Config, genome: &Genome) -> String {
        let plan = Plan::new(config, genome);
        let mut words = Vec::new();
        if flag(config, "free-patch") {
            words.push(format!("patches of {}", plan.patch));
        }
        if flag(config, "free-rank") {
            words.push(["", "quarter rank", "half rank", "", "full rank"][plan.quarters.min(4)].into());
        }
        words.extend(plan.stages.iter().map(|s| {
            let softmax = if s.softmax < s.heads { format!(" s{}", s.softmax) } else { String::new() };
            format!("{}×{} h{}{softmax} f{}", s.depth, s.width, s.heads, s.hidden)
        }));
        words.join(", ")
    }
}

#[cfg(test)]
#[cfg(feature = "compute")]
#[path = "vit_tests.rs"]
mod tests;
