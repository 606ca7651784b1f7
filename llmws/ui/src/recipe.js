/** The fields of a recipe: what may be written in them, and how they are called. No elements here. */
import { count } from "./format.js";
import { language, t } from "./strings.js";

// The service describes its fields and presets in English; this is the same in 简体中文, `[label, help]`.
export const chinese = {
  method: ["方法", "lora 训练小型适配器；qlora 在量化的底座上训练适配器；full 训练全部权重。"],
  stage: ["阶段", "训练目标：sft 为问答，pt 为纯文本，dpo 与 rm 为成对的回答，kto 为单条评价。"],
  epochs: ["轮数", "每行数据训练的遍数。"],
  max_steps: ["步数", "指定总步数，不再按轮数计算。"],
  learning_rate: ["学习率", "留空：适配器 1e-3，full 为 2e-5。"],
  batch_size: ["批大小", "每个设备一次处理的行数。"],
  gradient_accumulation: ["梯度累积", "累积多少批后更新一次。"],
  cutoff_len: ["最长行", "超出的部分会被截断。"],
  scheduler: ["学习率曲线", "学习率的下降方式。"],
  warmup: ["预热", "学习率上升阶段占总步数的比例。"],
  lora_rank: ["秩", "适配器的大小。"],
  lora_alpha: ["Alpha", "适配器作用的强度。留空：秩的两倍。"],
  lora_dropout: ["Dropout", "仅在训练时生效。"],
  lora_target: ["目标模块", "模块名，用逗号分隔；all 表示所有线性层。"],
  quantization_bit: ["位数", "qlora 底座的位数。留空：4。"],
  val_size: ["留出比例", "留作评估的数据比例。"],
  eval_steps: ["评估间隔", "仅在留出数据时有效。"],
  save_steps: ["检查点间隔", "训练中断后从最近的检查点继续。"],
  logging_steps: ["报告间隔", "用于绘制曲线。"],
  seed: ["随机种子", "种子相同，数据顺序就相同。"],
  extra: ["更多参数", "LLaMA-Factory 的其他参数，使用其原有名称。"],
  "quick look": ["快速试验", "用几分钟看看能否学会。"],
  balanced: ["均衡", "以较低的学习率训练三轮。"],
  thorough: ["细致", "用更大的适配器慢速训练十轮。"],
};

export const labelOf = ({ name, label = name }) => (language.value === "zh" && chinese[name]?.[0]) || label;
export const helpOf = ({ name, help }) => (language.value === "zh" && chinese[name]?.[1]) || help;

/** Whether a field has a meaning beside these values. */
export function applies({ name, group }, values) {
  if (name === "quantization_bit") return values.method === "qlora";
  if (name === "eval_steps") return Number(values.val_size) > 0;
  return group !== "lora" || values.method !== "full";
}

/** Whether another field has the say. */
export const idle = ({ name }, values) => name === "epochs" && values.max_steps != null && values.max_steps !== "";

function range({ minimum, maximum, exclusive }) {
  return t(exclusive ? "field_above" : "field_range", { least: count(minimum), most: count(maximum) });
}

/** The value that is written in a field; throws the sentence that says what is wrong. */
function parse(asked, written) {
  if (typeof written === "string" && asked.type !== "text") written = written.trim();
  if (asked.optional && (written === null || written === "")) return null;
  switch (asked.type) {
    case "integer":
    case "number": {
      const value = typeof written === "string" && written === "" ? Number.NaN : Number(written);
      if (!Number.isFinite(value) || (asked.type === "integer" && !Number.isInteger(value)))
        throw t(asked.type === "integer" ? "field_integer" : "field_number");
      const { minimum: least, maximum: most, exclusive } = asked;
      if (value < least || value > most || (exclusive && value <= least)) throw range(asked);
      return value;
    }
    case "choice":
      return asked.choices.find((choice) => String(choice) === String(written)) ?? asked.default;
    case "mapping":
      return mapping(written);
    default:
      if (!written.trim()) throw t("field_empty");
      return written.trim();
  }
}

function mapping(written) {
  if (typeof written !== "string") return written;
  try {
    const value = JSON.parse(written || "{}");
    if (value && typeof value === "object" && !Array.isArray(value)) return value;
  } catch {
    // Said below, as for what is JSON and no object.
  }
  throw t("field_mapping");
}

/** Fields and what is written in them → `{recipe, problems}`. What has no meaning keeps its default. */
export function read(fields, written) {
  const recipe = {};
  const problems = {};
  for (const asked of fields) {
    const { name } = asked;
    if (!applies(asked, written) || !(name in written)) {
      recipe[name] = asked.default;
      continue;
    }
    try {
      recipe[name] = parse(asked, written[name]);
    } catch (problem) {
      if (typeof problem !== "string") throw problem;
      problems[name] = problem;
    }
  }
  return { recipe, problems };
}
