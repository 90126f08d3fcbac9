//! An incremental reader of one JSON value: bytes in, in whatever pieces; what a [`Visitor`] asked for out.
//!
//! No tree, and no copy of the value: strings are handed on as they pass, decoded, and only if the visitor wants them.
//! The one mechanism under the request scanner and the response meter.
//!
//! - Where a value stands is a path of [`Key`]s: names that some wire format gives a meaning to are told apart, all
//!   others are [`Key::Other`], array members [`Key::Item`].
//! - Paths are at most [`DEPTH_MAX`] long and there is no recursion. Of what is nested deeper only the brackets are
//!   counted; its strings, names among them, are told with the path at the limit.
//! - It takes every JSON text, and a little more: control characters and bytes that are no UTF-8 inside of strings,
//!   and disorder between brackets below [`DEPTH_MAX`].

/// Longest path that is told.
pub const DEPTH_MAX: usize = 256;
const KEY_MAX: usize = 64;
const SCALAR_MAX: usize = 40;

macro_rules! keys {
    ($($key:ident = $name:literal $(| $other:literal)*,)*) => {
        /// A step of a path.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each is the JSON name beside it in the list")]
        pub enum Key {
            /// A member of an array.
            Item,
            /// A name that nothing here gives a meaning to.
            Other,
            $($key,)*
        }

        impl Key {
            fn of(name: &[u8]) -> Self {
                match name {
                    $($name $(| $other)* => Self::$key,)*
                    _ if name.ends_with(b"_signature") => Self::Signature,
                    _ => Self::Other,
                }
            }

            /// The name in JSON; empty for the two that stand for no single one.
            #[must_use]
            pub fn name(self) -> &'static str {
                let name: &'static [u8] = match self {
                    Self::Item | Self::Other => b"",
                    $(Self::$key => $name,)*
                };
                std::str::from_utf8(name).unwrap_or_default()
            }
        }
    };
}

keys! {
    Arguments = b"arguments",
    Audio = b"audio",
    AudioTokens = b"audio_tokens",
    Background = b"background",
    BestOf = b"best_of",
    BillableCharacterCount = b"billableCharacterCount",
    BilledUnits = b"billed_units",
    Body = b"body",
    Bytes = b"bytes",
    CacheControl = b"cache_control",
    CacheCreation = b"cache_creation",
    CacheCreationInputTokens = b"cache_creation_input_tokens",
    CacheDetails = b"cacheDetails",
    CacheReadInputTokenCount = b"cacheReadInputTokenCount",
    CacheReadInputTokens = b"cache_read_input_tokens",
    CacheReadTokensCamel = b"cacheReadInputTokens",
    CacheTokensDetails = b"cacheTokensDetails",
    CacheWriteInputTokenCount = b"cacheWriteInputTokenCount",
    CacheWriteTokens = b"cache_write_tokens",
    CacheWriteTokensCamel = b"cacheWriteInputTokens",
    CachedContentTokenCount = b"cachedContentTokenCount",
    CachedTokens = b"cached_tokens",
    CachedTokensByModality = b"cached_tokens_by_modality",
    CachedTokensDetails = b"cached_tokens_details",
    CandidateCount = b"candidateCount" | b"candidate_count",
    Candidates = b"candidates",
    CandidatesTokenCount = b"candidatesTokenCount",
    CandidatesTokensDetails = b"candidatesTokensDetails",
    ChatHistory = b"chat_history",
    Choices = b"choices",
    Completion = b"completion",
    CompletionTokens = b"completion_tokens",
    CompletionTokensDetails = b"completion_tokens_details",
    Completions = b"completions",
    Content = b"content",
    ContentBlock = b"content_block",
    Contents = b"contents",
    Cost = b"cost",
    CostEstimate = b"cost_estimate",
    CostInUsdTicks = b"cost_in_usd_ticks",
    Count = b"count",
    Data = b"data",
    Delta = b"delta",
    Detail = b"detail",
    Details = b"details",
    Document = b"document",
    Documents = b"documents",
    DocumentUrl = b"document_url",
    Done = b"done",
    DoneReason = b"done_reason",
    Duration = b"duration",
    Embeddings = b"embeddings",
    Ephemeral1h = b"ephemeral_1h_input_tokens",
    Ephemeral5m = b"ephemeral_5m_input_tokens",
    Error = b"error",
    ErrorFileId = b"error_file_id",
    EvalCount = b"eval_count",
    FileData = b"file_data" | b"fileData",
    FileId = b"file_id",
    FinishReason = b"finish_reason",
    FinishReasonCamel = b"finishReason",
    Format = b"format",
    Function = b"function",
    FunctionCall = b"function_call",
    FunctionCallCamel = b"functionCall",
    FunctionResponse = b"functionResponse" | b"function_response",
    Functions = b"functions",
    GeneratedText = b"generated_text",
    GeneratedTokenCount = b"generated_token_count",
    GeneratedTokens = b"generated_tokens",
    Generation = b"generation",
    GenerationConfig = b"generationConfig" | b"generation_config",
    GenerationTokenCount = b"generation_token_count",
    Generations = b"generations",
    GroundingMetadata = b"groundingMetadata",
    GroundingToolCount = b"grounding_tool_count",
    Id = b"id",
    Image = b"image",
    ImageTokens = b"image_tokens",
    ImageUrl = b"image_url",
    Images = b"images",
    IncludeUsage = b"include_usage",
    InferenceConfig = b"inferenceConfig",
    InferenceGeo = b"inference_geo",
    InlineData = b"inlineData" | b"inline_data",
    Input = b"input",
    InputAudio = b"input_audio",
    InputText = b"inputText",
    InputTextTokenCount = b"inputTextTokenCount",
    InputTokenCount = b"input_token_count",
    InputTokenCountCamel = b"inputTokenCount",
    InputTokenDetails = b"input_token_details",
    InputTokens = b"input_tokens",
    InputTokensByModality = b"input_tokens_by_modality",
    InputTokensCamel = b"inputTokens",
    InputTokensDetails = b"input_tokens_details",
    Inputs = b"inputs",
    Instances = b"instances",
    Instructions = b"instructions",
    Interaction = b"interaction",
    InvocationMetrics = b"amazon-bedrock-invocationMetrics",
    Iterations = b"iterations",
    Json = b"json",
    MarketCost = b"market_cost",
    MaxCompletionTokens = b"max_completion_tokens",
    MaxGenLen = b"max_gen_len",
    MaxNewTokens = b"max_new_tokens",
    MaxOutputTokens = b"max_output_tokens",
    MaxOutputTokensCamel = b"maxOutputTokens",
    MaxTokenCount = b"maxTokenCount",
    MaxTokens = b"max_tokens",
    MaxTokensCamel = b"maxTokens",
    MaxTokensToSample = b"max_tokens_to_sample",
    MaximumTokens = b"maximum_tokens",
    MediaType = b"media_type",
    Message = b"message",
    Messages = b"messages",
    Meta = b"meta",
    Metadata = b"metadata",
    MimeType = b"mimeType" | b"mime_type",
    Modality = b"modality",
    Model = b"model",
    ModelId = b"model_id",
    ModelVersion = b"modelVersion",
    ModelVersionSnake = b"model_version",
    N = b"n",
    NPredict = b"n_predict",
    Name = b"name",
    NumPredict = b"num_predict",
    NumRequests = b"num_requests",
    NumSearchQueries = b"num_search_queries",
    NumSourcesUsed = b"num_sources_used",
    NumTokensGenerated = b"num_tokens_generated",
    NumTokensPromptTotal = b"num_tokens_prompt_total",
    NumberOfImages = b"numberOfImages" | b"sampleCount",
    Options = b"options",
    Output = b"output",
    Outputs = b"outputs",
    OutputConfig = b"output_config",
    OutputFileId = b"output_file_id",
    OutputFormat = b"output_format",
    OutputTextCamel = b"outputText",
    OutputTokenCount = b"output_token_count",
    OutputTokenCountCamel = b"outputTokenCount",
    OutputTokenDetails = b"output_token_details",
    OutputTokens = b"output_tokens",
    OutputTokensByModality = b"output_tokens_by_modality",
    OutputTokensCamel = b"outputTokens",
    OutputTokensDetails = b"output_tokens_details",
    PagesProcessed = b"pages_processed",
    Parameters = b"parameters",
    PartialJson = b"partial_json",
    Parts = b"parts",
    PredictTime = b"predict_time",
    Predictions = b"predictions",
    Prompt = b"prompt",
    PromptAudioSeconds = b"prompt_audio_seconds",
    PromptCacheHitTokens = b"prompt_cache_hit_tokens",
    PromptEvalCount = b"prompt_eval_count",
    PromptTokenCount = b"promptTokenCount",
    PromptTokenCountSnake = b"prompt_token_count",
    PromptTokens = b"prompt_tokens",
    PromptTokensDetails = b"prompt_tokens_details",
    PromptTokensDetailsCamel = b"promptTokensDetails" | b"promptTokenDetails",
    PydanticGateway = b"pydantic_ai_gateway",
    Quality = b"quality",
    Query = b"query",
    Reasoning = b"reasoning",
    ReasoningContent = b"reasoning_content",
    ReasoningContentCamel = b"reasoningContent",
    ReasoningTokens = b"reasoning_tokens",
    Refusal = b"refusal",
    Requests = b"requests",
    Response = b"response",
    ResponseFormat = b"response_format",
    ResponseSchema = b"responseSchema" | b"response_schema",
    Result = b"result",
    Results = b"results",
    Role = b"role",
    SearchContextSize = b"search_context_size",
    SearchUnits = b"search_units",
    Seconds = b"seconds",
    ServerToolUse = b"server_tool_use",
    ServiceTier = b"service_tier",
    ServiceTierCamel = b"serviceTier",
    Session = b"session",
    Signature = b"signature",
    Size = b"size",
    Source = b"source",
    Speed = b"speed",
    Statistics = b"statistics",
    Status = b"status",
    StatusCode = b"status_code",
    StopReason = b"stop_reason",
    StopReasonCamel = b"stopReason",
    Stream = b"stream",
    StreamOptions = b"stream_options",
    Suffix = b"suffix",
    Summary = b"summary",
    System = b"system",
    SystemInstruction = b"systemInstruction" | b"system_instruction",
    Template = b"template",
    Text = b"text",
    TextGenerationConfig = b"textGenerationConfig",
    Texts = b"texts",
    Thinking = b"thinking",
    ThinkingTokens = b"thinking_tokens",
    ThoughtSignature = b"thoughtSignature",
    ThoughtsTokenCount = b"thoughtsTokenCount",
    Token = b"token",
    TokenCount = b"token_count",
    TokenCountCamel = b"tokenCount",
    Tokens = b"tokens",
    TokensEvaluated = b"tokens_evaluated",
    TokensPredicted = b"tokens_predicted",
    ToolCallId = b"tool_call_id",
    ToolCalls = b"tool_calls",
    ToolConfig = b"toolConfig",
    ToolResults = b"tool_results",
    ToolUseCamel = b"toolUse",
    ToolUse = b"tool_usage",
    ToolUseId = b"tool_use_id",
    ToolUsePromptTokenCount = b"toolUsePromptTokenCount",
    ToolUsePromptTokensDetails = b"toolUsePromptTokensDetails",
    Tools = b"tools",
    TotalCachedTokens = b"total_cached_tokens",
    TotalCost = b"total_cost",
    TotalInputTokens = b"total_input_tokens",
    TotalOutputTextTokenCount = b"totalOutputTextTokenCount",
    TotalOutputTokens = b"total_output_tokens",
    TotalThoughtTokens = b"total_thought_tokens",
    TotalTokenCount = b"totalTokenCount",
    TotalTokens = b"total_tokens",
    TotalTokensCamel = b"totalTokens",
    TotalToolUseTokens = b"total_tool_use_tokens",
    TrafficType = b"trafficType",
    Transcript = b"transcript",
    Ttl = b"ttl",
    Type = b"type",
    Url = b"url",
    Usage = b"usage",
    UsageInfo = b"usage_info",
    UsageMetadata = b"usageMetadata",
    Version = b"version",
    VideoTokens = b"video_tokens",
    VideoUrl = b"video_url",
    WebSearch = b"web_search",
    WebSearchQueries = b"webSearchQueries",
    WebSearchRequests = b"web_search_requests",
    XGroq = b"x_groq",
}

/// Bytes of the value, from `start` up to `end`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last.
    pub end: usize,
}

/// What wants to know. Paths are from the value's root, which is the empty path.
pub trait Visitor {
    /// An object or array begins at `at`.
    fn enter(&mut self, path: &[Key], object: bool, at: usize);
    /// It ended; `span` holds its brackets.
    fn leave(&mut self, path: &[Key], object: bool, span: Span);
    /// A member's name, decoded, cut to 64 bytes.
    fn key(&mut self, path: &[Key], name: &[u8]);
    /// A string begins: are its pieces wanted?
    fn wants(&mut self, path: &[Key]) -> bool;
    /// A decoded piece of a string that was wanted. A piece may end inside a character.
    fn text(&mut self, path: &[Key], piece: &[u8]);
    /// A string ended; `span` holds its quotes.
    fn text_end(&mut self, path: &[Key], span: Span);
    /// A number, `true`, `false` or `null`, as written.
    fn scalar(&mut self, path: &[Key], raw: &[u8], span: Span);
}

/// Where and why the bytes are no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// A byte that cannot stand there.
    #[error("not JSON at byte {0}")]
    Unexpected(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Value,
    FirstMember,
    Member,
    Colon,
    FirstItem,
    After,
    /// Below [`DEPTH_MAX`].
    Deep,
    Text {
        key: bool,
        wanted: bool,
    },
    Escape {
        key: bool,
        wanted: bool,
    },
    Unicode {
        key: bool,
        wanted: bool,
        digits: u8,
        code: u32,
    },
    Scalar,
    End,
}

/// The reader.
#[derive(Debug)]
pub struct Reader {
    state: State,
    /// For each open container: whether it is an object, and where it began.
    open: Vec<(bool, usize)>,
    path: Vec<Key>,
    /// Open brackets below [`DEPTH_MAX`].
    deep: usize,
    name: Vec<u8>,
    scalar: Vec<u8>,
    /// Where the value under way began.
    start: usize,
    /// Bytes read before this piece.
    read: usize,
    high_surrogate: Option<u32>,
    error: Option<JsonError>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            state: State::Value,
            open: Vec::new(),
            path: Vec::new(),
            deep: 0,
            name: Vec::new(),
            scalar: Vec::new(),
            start: 0,
            read: 0,
            high_surrogate: None,
            error: None,
        }
    }
}

impl Reader {
    /// Makes ready for another value, keeping what was allocated.
    pub fn reset(&mut self) {
        self.state = State::Value;
        self.open.clear();
        self.path.clear();
        self.deep = 0;
        self.name.clear();
        self.scalar.clear();
        self.read = 0;
        self.high_surrogate = None;
        self.error = None;
    }

    /// Whether a whole value was read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.error.is_none() && self.state == State::End
    }

    /// Why nothing more is read.
    #[must_use]
    pub fn error(&self) -> Option<JsonError> {
        self.error
    }

    /// Reads a piece. After an error nothing more is read, and after the value only white space is taken.
    pub fn push(&mut self, piece: &[u8], visitor: &mut impl Visitor) {
        self.push_until(piece, false, visitor);
    }

    /// Reads a piece up to the end of the value. Returns how much of the piece was read.
    pub fn push_value(&mut self, piece: &[u8], visitor: &mut impl Visitor) -> usize {
        self.push_until(piece, true, visitor)
    }

    fn push_until(&mut self, piece: &[u8], value: bool, visitor: &mut impl Visitor) -> usize {
        let mut at = 0usize;
        while self.error.is_none() && !(value && self.state == State::End) {
            let Some(rest) = piece.get(at..).filter(|rest| !rest.is_empty()) else { break };
            let used = match self.state {
                State::Text { key, wanted } => self.text(rest, at, key, wanted, visitor),
                State::Scalar => self.scalar(rest, at, visitor),
                _ => match self.whole(rest, at, visitor) {
                    0 => {
                        let byte = rest.first().copied().unwrap_or(0);
                        self.byte(byte, self.read.saturating_add(at), visitor);
                        1
                    }
                    used => used,
                },
            };
            at = at.saturating_add(used);
        }
        self.read = self.read.saturating_add(if value { at } else { piece.len() });
        at
    }

    /// A name with its colon, a string or a scalar that stands whole in the piece: nearly all do. How much of the piece
    /// it is; 0 when there is none, and byte by byte it goes.
    fn whole(&mut self, rest: &[u8], at: usize, visitor: &mut impl Visitor) -> usize {
        let (Some(first), after) = (rest.first(), rest.get(1..).unwrap_or_default()) else { return 0 };
        let start = self.read.saturating_add(at);
        match (self.state, first) {
            (State::FirstMember | State::Member, b'"') => {
                let Some(name) = plain(after).filter(|name| name.len() <= KEY_MAX) else { return 0 };
                if let Some(step) = self.path.last_mut() {
                    *step = Key::of(name);
                }
                visitor.key(&self.path, name);
                let used = name.len().saturating_add(2);
                if rest.get(used) == Some(&b':') {
                    self.state = State::Value;
                    return used.saturating_add(1);
                }
                self.state = State::Colon;
                used
            }
            (State::Value | State::FirstItem, b'"') => {
                let Some(text) = plain(after) else { return 0 };
                if visitor.wants(&self.path) && !text.is_empty() {
                    visitor.text(&self.path, text);
                }
                let used = text.len().saturating_add(2);
                visitor.text_end(&self.path, Span { start, end: start.saturating_add(used) });
                self.value_ended();
                used
            }
            (State::Value | State::FirstItem, b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                let length = rest.iter().take_while(|byte| in_scalar(**byte)).count();
                let Some(raw) = rest.get(..length).filter(|_| length < rest.len() && length < SCALAR_MAX) else {
                    return 0;
                };
                if !matches!(raw, b"true" | b"false" | b"null") && !is_number(raw) {
                    self.fail(start);
                    return length;
                }
                visitor.scalar(&self.path, raw, Span { start, end: start.saturating_add(length) });
                self.value_ended();
                length
            }
            (State::After, b',') => {
                let object = self.open.last().is_some_and(|(object, _)| *object);
                self.state = if object { State::Member } else { State::Value };
                1
            }
            _ => 0,
        }
    }

    /// The bytes are over: a number at the root ends here.
    pub fn finish(&mut self, visitor: &mut impl Visitor) {
        if self.state == State::Scalar && self.open.is_empty() {
            self.end_scalar(self.read, visitor);
        }
    }

    fn fail(&mut self, at: usize) {
        self.error = Some(JsonError::Unexpected(at));
    }

    /// One byte outside of strings' and scalars' insides. `at` counts from the value's start.
    fn byte(&mut self, byte: u8, at: usize, visitor: &mut impl Visitor) {
        match (self.state, byte) {
            (State::Escape { key, wanted }, _) => self.escape(byte, at, key, wanted, visitor),
            (State::Unicode { key, wanted, digits, code }, _) => {
                let Some(digit) = char::from(byte).to_digit(16) else { return self.fail(at) };
                let code = (code << 4) | digit;
                if digits < 3 {
                    let digits = digits.saturating_add(1);
                    self.state = State::Unicode { key, wanted, digits, code };
                } else {
                    self.state = State::Text { key, wanted };
                    self.code_unit(code, key, wanted, visitor);
                }
            }
            (State::Deep, _) => self.below(byte, at, visitor),
            (_, b' ' | b'\t' | b'\n' | b'\r') => {}
            (State::Value | State::FirstItem, b'{') => self.enter(true, at, visitor),
            (State::Value | State::FirstItem, b'[') => self.enter(false, at, visitor),
            (State::FirstItem, b']') | (State::FirstMember, b'}') => self.leave(at, visitor),
            (State::Value | State::FirstItem, b'"') => {
                self.start = at;
                self.state = State::Text { key: false, wanted: visitor.wants(&self.path) };
            }
            (State::Value | State::FirstItem, b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                self.start = at;
                self.scalar.clear();
                self.scalar.push(byte);
                self.state = State::Scalar;
            }
            (State::FirstMember | State::Member, b'"') => {
                self.name.clear();
                self.state = State::Text { key: true, wanted: true };
            }
            (State::Colon, b':') => self.state = State::Value,
            (State::After, b',') => {
                let object = self.open.last().is_some_and(|(object, _)| *object);
                self.state = if object { State::Member } else { State::Value };
            }
            (State::After, b'}' | b']') => {
                if self.open.last().is_some_and(|(object, _)| *object == (byte == b'}')) {
                    self.leave(at, visitor);
                } else {
                    self.fail(at);
                }
            }
            _ => self.fail(at),
        }
    }

    fn enter(&mut self, object: bool, at: usize, visitor: &mut impl Visitor) {
        if self.open.len() >= DEPTH_MAX {
            self.deep = 1;
            self.state = State::Deep;
            return;
        }
        visitor.enter(&self.path, object, at);
        self.open.push((object, at));
        self.path.push(Key::Item);
        self.state = if object { State::FirstMember } else { State::FirstItem };
    }

    /// A byte below [`DEPTH_MAX`].
    fn below(&mut self, byte: u8, at: usize, visitor: &mut impl Visitor) {
        match byte {
            b'"' => {
                self.start = at;
                self.state = State::Text { key: false, wanted: visitor.wants(&self.path) };
            }
            b'{' | b'[' => self.deep = self.deep.saturating_add(1),
            b'}' | b']' => {
                self.deep = self.deep.saturating_sub(1);
                if self.deep == 0 {
                    self.value_ended();
                }
            }
            _ => {}
        }
    }

    fn leave(&mut self, at: usize, visitor: &mut impl Visitor) {
        self.path.pop();
        if let Some((object, start)) = self.open.pop() {
            visitor.leave(&self.path, object, Span { start, end: at.saturating_add(1) });
        }
        self.value_ended();
    }

    fn value_ended(&mut self) {
        self.state = if self.open.is_empty() { State::End } else { State::After };
    }

    /// The inside of a string, up to its end, an escape, or the end of the piece.
    fn text(&mut self, rest: &[u8], at: usize, key: bool, wanted: bool, visitor: &mut impl Visitor) -> usize {
        let stop = memchr::memchr2(b'"', b'\\', rest);
        let plain = rest.get(..stop.unwrap_or(rest.len())).unwrap_or(rest);
        if !plain.is_empty() {
            self.lone_surrogate(key, wanted, visitor);
            self.deliver(plain, key, wanted, visitor);
        }
        let Some(stop) = stop else { return rest.len() };
        if rest.get(stop) == Some(&b'\\') {
            self.state = State::Escape { key, wanted };
        } else {
            self.lone_surrogate(key, wanted, visitor);
            let end = self.read.saturating_add(at).saturating_add(stop).saturating_add(1);
            self.end_text(key, end, visitor);
        }
        stop.saturating_add(1)
    }

    fn end_text(&mut self, key: bool, end: usize, visitor: &mut impl Visitor) {
        if key {
            if let Some(step) = self.path.last_mut() {
                *step = Key::of(&self.name);
            }
            visitor.key(&self.path, &self.name);
            self.state = State::Colon;
        } else {
            visitor.text_end(&self.path, Span { start: self.start, end });
            if self.deep > 0 {
                self.state = State::Deep;
            } else {
                self.value_ended();
            }
        }
    }

    fn deliver(&mut self, piece: &[u8], key: bool, wanted: bool, visitor: &mut impl Visitor) {
        if key {
            // More room than the longest name that is told apart: a longer name cannot pass for it.
            let room = KEY_MAX.saturating_sub(self.name.len());
            self.name.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
        } else if wanted {
            visitor.text(&self.path, piece);
        }
    }

    fn escape(&mut self, byte: u8, at: usize, key: bool, wanted: bool, visitor: &mut impl Visitor) {
        let plain = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                self.state = State::Unicode { key, wanted, digits: 0, code: 0 };
                return;
            }
            _ => return self.fail(at),
        };
        self.lone_surrogate(key, wanted, visitor);
        self.state = State::Text { key, wanted };
        self.deliver(&[plain], key, wanted, visitor);
    }

    /// A `\uXXXX`. Two may make one character; half of such a pair is U+FFFD.
    fn code_unit(&mut self, code: u32, key: bool, wanted: bool, visitor: &mut impl Visitor) {
        let code = match (self.high_surrogate.take(), code) {
            (lone, 0xD800..=0xDBFF) => {
                if lone.is_some() {
                    self.character(char::REPLACEMENT_CHARACTER, key, wanted, visitor);
                }
                self.high_surrogate = Some(code);
                return;
            }
            (Some(high), 0xDC00..=0xDFFF) => {
                let high = high.saturating_sub(0xD800) << 10;
                high.saturating_add(code.saturating_sub(0xDC00)).saturating_add(0x1_0000)
            }
            (Some(_), _) => {
                self.character(char::REPLACEMENT_CHARACTER, key, wanted, visitor);
                code
            }
            (None, _) => code,
        };
        self.character(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), key, wanted, visitor);
    }

    fn character(&mut self, character: char, key: bool, wanted: bool, visitor: &mut impl Visitor) {
        self.deliver(character.encode_utf8(&mut [0; 4]).as_bytes(), key, wanted, visitor);
    }

    /// The half of a pair that came before something else.
    fn lone_surrogate(&mut self, key: bool, wanted: bool, visitor: &mut impl Visitor) {
        if self.high_surrogate.take().is_some() {
            self.character(char::REPLACEMENT_CHARACTER, key, wanted, visitor);
        }
    }

    fn scalar(&mut self, rest: &[u8], at: usize, visitor: &mut impl Visitor) -> usize {
        let length = rest.iter().take_while(|byte| in_scalar(**byte)).count();
        let room = SCALAR_MAX.saturating_sub(self.scalar.len());
        self.scalar.extend_from_slice(rest.get(..length.min(room)).unwrap_or_default());
        if length < rest.len() {
            self.end_scalar(self.read.saturating_add(at).saturating_add(length), visitor);
        }
        length
    }

    fn end_scalar(&mut self, end: usize, visitor: &mut impl Visitor) {
        let word = matches!(self.scalar.as_slice(), b"true" | b"false" | b"null");
        // A number longer than the room is a number all the same; what it is does not matter to anyone here.
        let number = || is_number(&self.scalar) || self.scalar.len() == SCALAR_MAX;
        if !word && !number() {
            return self.fail(self.start);
        }
        visitor.scalar(&self.path, &self.scalar, Span { start: self.start, end });
        self.value_ended();
    }
}

fn in_scalar(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'+' | b'-' | b'.')
}

/// A string up to its closing quote, if that is there and nothing in it is escaped.
fn plain(after: &[u8]) -> Option<&[u8]> {
    // Most are short: a search that prepares itself costs more than it finds.
    const SHORT: usize = 32;
    let (mut rest, mut at) = (after, 0usize);
    while let Some((eight, more)) = rest.split_first_chunk::<8>().filter(|_| at < SHORT) {
        let word = u64::from_le_bytes(*eight);
        let found = zeros(word ^ u64::from_le_bytes([b'"'; 8])) | zeros(word ^ u64::from_le_bytes([b'\\'; 8]));
        if found != 0 {
            // The first that was found is one; what follows it may not be.
            let at = at.saturating_add((found.trailing_zeros() >> 3) as usize);
            return if after.get(at) == Some(&b'"') { after.get(..at) } else { None };
        }
        (rest, at) = (more, at.saturating_add(8));
    }
    let found = memchr::memchr2(b'"', b'\\', rest)?;
    if rest.get(found) == Some(&b'"') { after.get(..at.saturating_add(found)) } else { None }
}

/// The high bit of each byte that is zero; of bytes above one that is, perhaps wrongly.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(u64::from_le_bytes([1; 8])) & !word & u64::from_le_bytes([0x80; 8])
}

/// <https://www.rfc-editor.org/rfc/rfc8259#section-6>
fn is_number(raw: &[u8]) -> bool {
    let digits = |raw: &[u8]| raw.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = raw.strip_prefix(b"-").unwrap_or(raw);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.first() == Some(&b'0')) {
        return false;
    }
    let mut rest = rest.get(whole..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = fraction.get(length..).unwrap_or_default();
    }
    if let Some(exponent) = rest.strip_prefix(b"e").or(rest.strip_prefix(b"E")) {
        let exponent = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+")).unwrap_or(exponent);
        let length = digits(exponent);
        return length > 0 && length == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests;
